// Package multiack makes go-git request multi_ack from a Git server. Azure DevOps refuses
// every fetch without it.
//
// go-git ignores the capability, because it does not negotiate in rounds of haves and
// acknowledgements. The fetches of this project need only one round: they send all haves
// at once, and then "done". go-git reads the additional acknowledgements of the server
// like any other.
package multiack

import (
	"sync"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

var once sync.Once

// Allow makes the fetches of this process request multi_ack if the server offers it. It
// must be called before the first fetch starts; go-git has only a global setting.
func Allow() {
	once.Do(func() {
		transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack}
	})
}
