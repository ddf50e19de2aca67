package federation

import (
	"io/fs"
	"path"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Revision is one commit and the ref it was reached by.
type Revision struct {
	Ref string `json:"ref"` // short: "main", "v1.2"; empty for a bare commit
	SHA string `json:"sha"`
}

// Short is the abbreviated commit: seven characters, as Git prints it.
func (r Revision) Short() string { return r.SHA[:min(7, len(r.SHA))] }

// String gives "main@1a2b3c4", or what there is of it.
func (r Revision) String() string {
	switch {
	case r.Ref == "":
		return r.Short()
	case r.SHA == "":
		return r.Ref
	}
	return r.Ref + "@" + r.Short()
}

// Snapshot is a repository's content at one revision.
type Snapshot struct {
	Revision Revision
	Subject  untrusted.Text // first line of the commit's message
	Time     time.Time      // of the commit
	// Forced says that Revision does not descend from the one before it, or
	// could not be proved to.
	Forced bool
	// Folder is the part of the repository that the federation lives in, slash-separated;
	// empty for its root.
	Folder string
	// Files are the files of that folder, read-only and safe for concurrent use. Their
	// names are relative to the repository. They may implement Digester.
	Files fs.FS
}

// FederationFile is the name of the file that has the Federation, within the repository.
func (s Snapshot) FederationFile() string { return path.Join(s.Folder, FileName) }

// Digester is implemented by files that know a digest of their content without
// reading it, as a Git tree does: equal digests are equal files or equal trees.
type Digester interface {
	Digest(name string) (string, error)
}
