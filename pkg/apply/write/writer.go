package write

import (
	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Writer makes one change of a cluster, with as many requests as it takes. It knows
// only its arguments and the API server's answers.
type Writer struct {
	*request.Client
	Cluster string
	Owner   inventory.Owner
	// FollowsAs reports whether source is the owner's under another name of the
	// federation, a name that the federation may have had before. It is nil where that
	// is not known.
	FollowsAs func(federation, source string) bool
	Version   string               // of fedsync, for the inventory's tooling annotation
	NodePorts federation.PortRange // the range that a Service may be moved to
	Forms     *object.Forms
	Reader    object.Reader
	Backups   *backup.Store // of objects that adoption overwrites
}
