// Package badmember is a member cluster that misbehaves, for tests: a real server,
// with TLS and HTTP/2, that answers like an API server but for what its mode says.
//
// What is not touched by the mode comes from an [objectstore.Store]. A mode may be
// changed while the server runs. The server knows what credentials it was sent, and
// runs another one, Elsewhere, to which its redirects lead and which nobody should
// ever ask.
package badmember
