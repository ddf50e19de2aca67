// Package badmember is a misbehaving member cluster for tests: a real server, with TLS
// and HTTP/2, that answers like an API server except for what its mode defines.
//
// Everything else is answered by an [objectstore.Store]. A mode may be changed while the
// server runs. The server records the credentials that it received. It runs a second
// server, Elsewhere, to which its redirects lead and to which no client should ever send
// a request.
package badmember
