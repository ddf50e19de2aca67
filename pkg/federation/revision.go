package federation

import (
	"io/fs"
	"path"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Revision is one commit and the ref that led to it.
type Revision struct {
	Ref string `json:"ref"` // short: "main", "v1.2"; empty for a bare commit
	SHA string `json:"sha"`
}

// Short returns the abbreviated commit: seven characters, as Git prints it.
func (r Revision) Short() string { return r.SHA[:min(7, len(r.SHA))] }

// String returns "main@1a2b3c4", or only the part that is set.
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
	// Forced reports that Revision does not descend from the previous one, or that this
	// could not be established.
	Forced bool
	// Folder is the folder of the repository that holds the federation, slash-separated;
	// empty for the root.
	Folder string
	// Files are the files of that folder, read-only and safe for concurrent use. Their
	// names are relative to the repository's root. Files may implement Digester.
	Files fs.FS
}

// FederationFile is the name of the file that holds the Federation, within the repository.
func (s Snapshot) FederationFile() string { return path.Join(s.Folder, FileName) }

// Digester is implemented by file systems that know the digest of a file or folder
// without reading it, as a Git tree does. Equal digests mean equal files or equal trees.
type Digester interface {
	Digest(name string) (string, error)
}
