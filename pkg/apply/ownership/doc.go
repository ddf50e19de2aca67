// Package ownership tells which fields of a live object are ours, from its
// managedFields.
//
// In goes a live object as an API server shows it; out comes a View, which holds
// digests of our fields and names what users added. Two Views compare to what somebody
// else changed, and a View and a rendered object to whether an apply would change
// anything. For adoption, lists of entries go in, and rewritten ones come out.
//
// Everything here is a pure function of its arguments: no request, no lock, no clock.
// The requests are those of package apply.
package ownership
