package status

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// ErrFull means that the forge takes no more statuses of this commit and context. It
// wraps ErrRejected, and no later try will succeed.
var ErrFull = fmt.Errorf("%w: the commit has as many statuses as the forge allows", ErrRejected)

// MovedError means that the repository, or the forge, has moved to another address.
// Nothing can be posted until the settings name the new one.
type MovedError struct {
	Name string // the repository's new name, as "team/web"; empty if it is unknown
	Host string // the forge's new address, if the forge moved
}

// Error names what moved.
func (e *MovedError) Error() string {
	switch {
	case e.Name != "":
		return "the repository is now " + e.Name + " on the forge"
	case e.Host != "":
		return "the forge is now at " + e.Host
	}
	return "the repository is no longer at this address on the forge"
}

// Remedy returns what to set.
func (e *MovedError) Remedy() untrusted.Text {
	switch {
	case e.Name != "":
		return untrusted.Textf("set --forge-repository %s, or --repo to the new URL; Git may follow a redirect from the old URL, but statuses do not", untrusted.Quote(e.Name))
	case e.Host != "":
		return untrusted.Textf("set --forge-url %s", untrusted.Quote(e.Host))
	}
	return untrusted.Const("find the repository's new address and set --repo, or --forge-url and --forge-repository")
}

// Moved returns the MovedError in an error's chain.
func Moved(err error) (*MovedError, bool) { return errors.AsType[*MovedError](err) }

// IsName reports whether a text from a forge can be the full name of a repository.
func IsName(text string) bool {
	owner, name, two := strings.Cut(text, "/")
	const most = 255
	return two && owner != "" && name != "" && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '/' && r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
