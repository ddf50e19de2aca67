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
// cluster that is away. members.go has all of them, and roster.go remembers which
// clusters there were, so that one that left the file can be emptied; roll.go decides
// which cluster each name leads to. rendering.go renders beside the loop.
//
// tell.go is the other half of each turn: it adds the outcomes up to a report and tells
// the forge, the page and the metrics; report.go keeps the reports. daemon.go starts all of it and waits for its
// end; wire.go chooses the parts by what package config says. look.go and once.go
// are the same parts in another order, for the commands that look once or run once;
// examine.go and access.go look at what those take for granted, for fedsync doctor.
package daemon
