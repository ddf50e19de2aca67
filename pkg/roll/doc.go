// Package roll decides which cluster each name leads to, and what may be done there.
//
// Two names may lead to one cluster, a name may lead to another cluster than before, and a
// cluster that left the file may be a member under another name. [Of] judges all of them at
// once, by the file, by what the clusters say of themselves and by the [Roster], which
// remembers what was last brought where. It depends on nothing else, and asks nobody.
package roll
