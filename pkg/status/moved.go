package status

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// ErrFull says that the forge takes no more statuses of this commit and context,
// whatever they say. It is ErrRejected, and no later try will succeed.
var ErrFull = fmt.Errorf("%w: it has as many as it can have", ErrRejected)

// MovedError says that the repository, or the forge, is at another address by now.
// Nothing can be posted until the settings name that.
type MovedError struct {
	Name string // the repository's name now, as "team/web"; empty where it is not known
	Host string // the forge's address now, where it is that that moved
}

// Error says what moved.
func (e *MovedError) Error() string {
	switch {
	case e.Name != "":
		return "the repository is " + e.Name + " on the forge now"
	case e.Host != "":
		return "the forge answers at " + e.Host + " now"
	}
	return "the repository is not at this address on the forge any more"
}

// Remedy returns what to set.
func (e *MovedError) Remedy() untrusted.Text {
	switch {
	case e.Name != "":
		return untrusted.Textf("set --forge-repository %s, or --repo to the new URL; Git may still follow a redirect from the old one, statuses do not", untrusted.Quote(e.Name))
	case e.Host != "":
		return untrusted.Textf("set --forge-url %s", untrusted.Quote(e.Host))
	}
	return untrusted.Const("look where the repository is now, and set --repo, or --forge-url and --forge-repository")
}

// Moved finds a MovedError in what went wrong.
func Moved(err error) (*MovedError, bool) { return errors.AsType[*MovedError](err) }

// IsName reports whether a text of a forge's can be the full name of a repository.
func IsName(text string) bool {
	owner, name, two := strings.Cut(text, "/")
	const most = 255
	return two && owner != "" && name != "" && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '/' && r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
