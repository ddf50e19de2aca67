// Package apply makes one cluster match its plan.
//
// Its input is the plan of one cluster, from schedule, and what the watches of that
// cluster show. Its output is the changes that were made and a finding for each change
// that could not be made. An Applier belongs to one cluster and shares nothing that can
// block with another: it has its own client, deadlines and memory.
//
// Everything known about the cluster is in one state (package state). What is due is a
// pure function of the state and the time (package agenda), and so is what is wrong
// (package standing). Run carries out what is due (do.go) with the requests that this
// takes (package write), and each answer changes the state (package table). Nothing
// that follows from the state is stored in addition to it.
//
// Objects are applied server-side, with force, by one field manager. An object is
// written when its rendering differs from what was last applied, or when another client
// changed a field that the rendering sets; otherwise there is no request. What was
// applied is remembered as digests of the API server's answers. After a start it is
// recovered from managedFields and the live values, so that a restart with nothing
// changed writes nothing. Package ownership computes this.
//
// The inventory follows the ApplySet specification: a label on every object, and one
// parent ConfigMap per app, which also records the app's source. Package inventory
// reads and encodes it.
//
// The package opens no watch: pkg/member feeds it the events of pkg/watch.
package apply
