// Package table owns the state of one cluster, and everything that changes it.
//
// Its input is plans, the events and lists of the watches, and the answers to requests.
// Its output is the tasks that begin now (see package agenda). A [Task] contains what
// is needed to carry it out. Whoever carries it out reports the result with one of the
// methods that end tasks, such as [Table.Applied] or [Table.Removed]. An answer is
// ignored if the cluster was restored or rebuilt while the request was under way. No
// method waits for anything.
package table
