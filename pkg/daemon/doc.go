// Package daemon wires the stages and runs the loop.
//
// # A tour of the code
//
// Start with sync.go. The loop takes the revision that source found, has render build
// its objects and schedule make a plan, and hands each cluster's part to that cluster's
// member. Whatever changes (a revision, a fact, the kubeconfig), the loop plans from
// scratch and hands over the difference. Nothing depends on having seen an event.
//
// Package member is one cluster's side: it probes, watches, applies the newest plan and
// repairs drift. It shares nothing with other clusters that could block. The loop reads
// its outcome, which includes the cluster's facts. By these facts the next plan divides
// replicas, chooses node ports and moves the replicas of a cluster that is away.
// members.go holds all members. judge.go asks package roll which cluster each name leads
// to, and which clusters left the file and are to be emptied. rendering.go renders
// outside the loop.
//
// publish.go is the other half of each turn: it sums the outcomes up in a report and
// publishes it to the forge, the page and the metrics; package history retains the
// reports. daemon.go starts everything and waits for its end; package wire makes the
// parts that the settings name. compare.go and once.go combine the same parts for the
// commands that only read, or that sync one revision. examine.go offers compare to package
// doctor, and planning.go is fedsync plan. reviewview.go is what package reviewer sees
// of the loop.
package daemon
