package write

import (
	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Writer makes what one change of a cluster takes: as many requests as that are. It knows
// nothing but what it is told and what the API server answers.
type Writer struct {
	*request.Client
	Cluster string
	Owner   inventory.Owner
	// FollowsAs reports whether a source is the owner's under another name of the
	// federation, which it may have had before; nil where that is not known.
	FollowsAs func(federation, source string) bool
	Version   string               // of fedsync, for the inventory's tooling annotation
	NodePorts federation.PortRange // that a Service may be moved to
	Forms     *object.Forms
	Reader    object.Reader
	Backups   *backup.Store // of what adoption overwrites
}
