// Package inventory is the words of an app's inventory in a cluster, which follows
// the ApplySet specification, KEP-3659: a label on every object, and one parent
// ConfigMap that lists the kinds and namespaces of the objects.
//
// In goes a parent as an API server shows it, out comes what it says; and the other
// way round, what an app has becomes the parent that its inventory should have.
//
// Everything here is a pure function of its arguments. Package apply reads and writes
// the parents, and decides from them what may be deleted.
package inventory
