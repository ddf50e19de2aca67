// Package apply makes one cluster match its plan.
//
// In go the plan of one cluster, from schedule, and what the watches of that
// cluster say; out come the changes that were made and the findings of what
// could not be. An Applier belongs to one cluster and shares nothing that can
// block with another: it has its own client, deadlines and memory.
//
// Objects are applied on the server's side, with force, by one field manager.
// An object is written when its rendering is not what was last applied, or when
// somebody else changed what it says; otherwise there is no request. What was
// applied is remembered as digests of what the API server answered, and after a
// start it is found again in managedFields and the live values, so that a
// restart with nothing changed writes nothing.
//
// The inventory is the ApplySet specification's: a label on every object and one
// parent ConfigMap per app. The parent also says which source the app comes from
// and which running instance writes it: there is one writer.
//
// The package starts no goroutine that outlives a call and opens no watch. The
// daemon feeds Observe with the events of pkg/health's watches, and calls Apply
// with each new plan and Repair when Observe says so.
package apply
