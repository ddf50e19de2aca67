// Package badforge is a misbehaving forge and Git server for tests. It is a proxy for a
// server that behaves, and answers differently as its mode defines: it sends back the
// credentials that it received, in any place and shape, or answers without end.
//
// It runs a second server, Elsewhere, to which its redirects lead. No client should ever
// send a credential there.
package badforge
