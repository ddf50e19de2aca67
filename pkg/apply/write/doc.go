// Package write makes one change of a cluster, with as many requests as it takes.
//
// Its input is what is known about an object ([Known]), or what an inventory should
// list ([ParentWish]). Its output is what the cluster has afterwards ([Outcome],
// [Parent]), or an error. A [Writer] creates, applies or adopts an object, whichever is
// needed, deletes objects that left Git, moves a Service to other ports, and writes the
// parents of inventories. Each write applies only to the state of the object that it
// was decided for. A Writer remembers nothing: package apply does, and decides what is
// due.
package write
