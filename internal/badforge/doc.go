// Package badforge is a forge and Git server that misbehaves, for tests: it stands
// before one that behaves, and answers otherwise as its mode says. It sends back the
// credentials that it was sent, in whatever place and shape, or answers without end.
//
// Beside it runs another server, Elsewhere, to which its redirects lead and which
// nobody should ever send a credential.
package badforge
