// Package roll decides which cluster each name leads to, and what may be done there.
//
// Two names may lead to one cluster, a name may lead to another cluster than before,
// and a cluster that left the file may be a member under another name. [Of] judges all
// of them together, from the file, from the clusters' own identities and from the
// [Roster], which remembers what was last applied where. It depends on nothing else,
// and makes no requests.
package roll
