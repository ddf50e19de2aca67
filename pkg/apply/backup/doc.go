// Package backup keeps a copy of each object that adoption overwrites, in Secrets next
// to the inventory, and restores the objects from them.
//
// Its input is a live object that is about to be overwritten. Each content is kept
// once, for thirty days. A digest in a ConfigMap (see package inventory) proves that a
// Secret was written by fedsync: a user who can create a Secret must not make fedsync
// write with its own permissions.
package backup
