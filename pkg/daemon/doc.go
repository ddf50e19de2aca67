// Package daemon wires the stages and runs the loop.
//
// # A tour of the code
//
// Start with sync.go: the loop takes what source found, has render make objects
// of it and schedule a plan, and hands every cluster's part to that cluster's
// member. Whatever changes, a revision, a fact, the kubeconfig, it plans from
// scratch and hands over what differs; nothing depends on having seen an event.
//
// Package member is one cluster's side: it probes, watches, applies the newest plan
// and repairs drift, and shares nothing with other clusters that could block. What
// came of it is the outcome, which the loop reads, the cluster's facts among it: by
// these the next plan divides replicas, chooses node ports and moves what ran in a
// cluster that is away. members.go has all of them, and judge.go has
// package roll decide which cluster each name leads to, and which left the file and are to
// be emptied. rendering.go renders beside the loop.
//
// tell.go is the other half of each turn: it adds the outcomes up to a report and tells
// the forge, the page and the metrics; package history keeps the reports. daemon.go starts
// all of it and waits for its end; package wire makes the parts that the settings name.
// look.go and once.go are the same parts in another order, for the commands that look once
// or run once; examine.go lends the loop's look to package doctor,
// planning.go to fedsync plan. reviewview.go is what package reviewer is shown of the loop.
package daemon
