// Package multiack lets go-git ask a Git server for multi_ack, without which Azure DevOps
// refuses every fetch.
//
// go-git takes the capability out of what a server offers, since it does not answer in
// rounds: what it has, then what the server says of it, and so on. A fetch that sends all
// that it has at once, and then "done", as those of this project do, has one round. The
// acknowledgements that a server sends more are read by go-git like the others.
package multiack

import (
	"sync"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

var once sync.Once

// Allow lets the fetches of this process ask for multi_ack where the server offers it. It
// is called before the first of them begins; go-git has no setting but for all.
func Allow() {
	once.Do(func() {
		transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack}
	})
}
