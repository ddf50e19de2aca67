// Package inventory encodes an app's inventory in a cluster. It follows the ApplySet
// specification, KEP-3659: a label on every object, and one parent ConfigMap that lists
// the kinds and namespaces of the objects.
//
// It decodes a parent that an API server returned, and encodes what an app has as the
// parent that its inventory should have.
//
// Everything here is a pure function of its arguments. Package apply reads and writes
// the parents, and decides from them what may be deleted.
package inventory
