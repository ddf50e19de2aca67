// Package write makes a change of one cluster, in as many requests as it takes.
//
// In goes what is known of an object ([Known]), or what an inventory is to list
// ([ParentWish]); out come what the cluster has after that ([Outcome], [Parent]), or why it
// has not. A [Writer] creates, applies or adopts an object, whichever it turns out to take,
// deletes what left Git, moves a Service to other ports, and writes the parents of
// inventories. Each write is bound to the state of the object that it was decided for. It
// remembers nothing: package apply does, and says what is due.
package write
