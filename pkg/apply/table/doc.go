// Package table keeps the state of one cluster, and has all that changes it.
//
// In go plans, the events and lists of the watches, and the answers of requests; out come
// the tasks that begin now (see package agenda). A [Task] carries what is to be known for
// it. Whoever carries it out says what came of it with one of the methods that end tasks,
// such as [Table.Applied] or [Table.Removed]. An answer about a cluster that was restored or
// rebuilt meanwhile changes nothing. No method waits for anything.
package table
