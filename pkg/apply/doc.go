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
// All that is known of the cluster stands in one table, with the only lock: a row
// for each object, what Git wants of it, what the cluster shows and what the last
// request answered. What is due, what is wrong and whether the cluster is as the
// plan says are pure functions of that table and the time (agendaAt, Standing), so
// that nothing has to be remembered, taken back or rung for. Run does what is due,
// a request at a time, and looks at the table again after each.
//
// What was refused is tried again with pauses that all share which are refused for
// one reason, one at a time; when it goes through, the others follow at once. What
// is not answered has one request at a time and holds up nothing else.
//
// The package opens no watch. Its owner feeds Observe, ObserveNamespace and the
// rest with what pkg/health's watches see, and tells of lists and of their end.
package apply
