// Package backup keeps objects as they were before adoption, in Secrets beside the
// inventory, and puts them back.
//
// In goes a live object that is about to be overwritten; it is kept once per content, for
// thirty days. That a Secret is what fedsync kept is proved by its digest in a ConfigMap
// (see package inventory): whoever can make a Secret must not make fedsync write with its
// rights.
package backup
