// Package apply makes one cluster match its plan.
//
// In go the plan of one cluster, from schedule, and what the watches of that cluster
// show; out come the changes that were made and the findings of what could not be. An
// Applier belongs to one cluster and shares nothing that can block with another: it has
// its own client, deadlines and memory.
//
// All that is known of the cluster stands in one state (package state). What is due is a pure
// function of it and the time (package agenda), and so is what is wrong (package standing).
// Run carries out what is due (do.go) by the requests that it takes (package write), and each
// answer changes the state (package table). So nothing that follows from state is remembered
// beside it.
//
// Objects are applied on the server's side, with force, by one field manager. An object
// is written when its rendering is not what was last applied, or when somebody else
// changed what it states; otherwise there is no request. What was applied is remembered
// as digests of what the API server answered, and after a start it is found again in
// managedFields and the live values, so that a restart with nothing changed writes
// nothing. Package ownership has that arithmetic.
//
// The inventory is the ApplySet specification's: a label on every object and one parent
// ConfigMap per app, which also says which source the app comes from. Package
// inventory has its words.
//
// The package opens no watch: pkg/member feeds it with the events of pkg/watch.
package apply
