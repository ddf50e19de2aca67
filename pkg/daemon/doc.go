// Package daemon wires the stages and runs the loop.
//
// # A tour of the code
//
// Start with sync.go: the loop takes what source found, has render make objects
// of it and schedule a plan, and hands every cluster's part to that cluster's
// worker. Whatever changes, a revision, a fact, the kubeconfig, it plans from
// scratch and hands over what differs; nothing depends on having seen an event.
//
// worker.go, session.go and sight.go are one cluster's side. A worker has a session as
// long as the way to its cluster stays the same; the session probes, watches,
// applies the newest plan and repairs drift, and shares nothing with other
// clusters that could block. What came of it is the outcome, which the loop
// reads.
//
// report.go adds the outcomes up, and keeps the reports that the page and the
// commit statuses are made from. daemon.go starts all of it and waits for its
// end; wire.go chooses the parts by the configuration, whose one table of truth
// is config.go. look.go and once.go are the same parts in another order, for the
// commands that look once or run once.
package daemon
