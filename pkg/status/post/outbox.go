package post

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The bounds of an outbox. There are always fewer letters: superseded statuses, whose
// number is limited, and those of the newest revision.
const (
	outboxLetters = 256
	outboxBytes   = 1 << 20 // of the file
	outboxWords   = 2 << 10 // of a description, in bytes
)

// outbox is the file for what a restart must not lose: the statuses of the newest
// revision, and those of earlier ones that wait to be posted. The forge knows best what
// is posted already. So a letter is a wish, and is compared with the forge before
// anything is posted.
type outbox struct{ file string }

// letter is one saved status.
type letter struct {
	SHA         string       `json:"sha"`
	Context     string       `json:"context"`
	State       status.State `json:"state,omitempty"` // empty if only the forge knows it
	Description string       `json:"description,omitempty"`
	Since       time.Time    `json:"since"`               // since when it has been wanted as a success, or not as one
	By          string       `json:"by,omitempty"`        // the revision that superseded the commit; empty while none has
	ByTime      time.Time    `json:"byTime,omitzero"`     // when
	IfPending   bool         `json:"ifPending,omitempty"` // it matters only if the forge has a pending status of ours
}

// content is the content of the file.
type content struct {
	Letters []letter `json:"letters"`
	Partial bool     `json:"partial,omitempty"` // earlier letters were lost, and not searched for yet

	// Earlier versions saved this: the newest commit.
	SHA      string   `json:"sha,omitempty"`
	Contexts []string `json:"contexts,omitempty"`
}

// errIncomplete means that letters may be missing.
var errIncomplete = errors.New("some queued statuses were not saved")

// stale returns the file that holds the letters if newer ones could not be written.
func (o outbox) stale() string { return o.file + ".old" }

// read returns the saved letters. With an error they may be incomplete: there is no file,
// as at the first start, or it is damaged.
func (o outbox) read() ([]letter, error) {
	letters, err := readLetters(o.file)
	if errors.Is(err, fs.ErrNotExist) {
		if older, staleErr := readLetters(o.stale()); staleErr == nil {
			return older, errIncomplete
		}
	}
	return letters, err
}

func readLetters(file string) ([]letter, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, outboxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > outboxBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", file, outboxBytes)
	}
	var c content
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for _, context := range c.Contexts {
		c.Letters = append(c.Letters, letter{SHA: c.SHA, Context: context})
	}
	letters, err := validLetters(c.Letters)
	if c.Partial {
		err = errIncomplete
	}
	return letters, err
}

// validLetters returns the valid letters, cleaned. An invalid one is dropped without the
// rest.
func validLetters(letters []letter) ([]letter, error) {
	var kept []letter
	var err error
	for _, l := range letters {
		l.Description = untrusted.Clean(l.Description, outboxWords)
		l.By = untrusted.Clean(l.By, 100)
		known := l.State == "" || l.State == status.Pending || l.State == status.Success || l.State == status.Failure
		if !known || !validSHA(l.SHA) || !federation.ValidStatusContext(l.Context) || len(kept) == outboxLetters {
			err = errIncomplete
			continue
		}
		kept = append(kept, l)
	}
	return kept, err
}

func validSHA(sha string) bool {
	return (len(sha) == 40 || len(sha) == 64) && strings.Trim(sha, "0123456789abcdef") == ""
}

// write replaces the saved letters. A crash at any point leaves the old or the new ones.
// If it fails, the next start still reads the old ones, as possibly incomplete.
func (o outbox) write(c content) error {
	data, err := encode(c)
	if err == nil {
		err = replace(o.file, data)
	}
	if err != nil {
		_ = os.Rename(o.file, o.stale()) // there may be none, or the folder may be gone
		return err
	}
	_ = os.Remove(o.stale()) // usually there is none; the newer file goes first
	return nil
}

// encode drops the last letters, which are the least important, if there are too many.
func encode(c content) ([]byte, error) {
	c.Letters = c.Letters[:min(len(c.Letters), outboxLetters)]
	for {
		data, err := json.MarshalIndent(c, "", " ")
		if err != nil || len(data) <= outboxBytes {
			return data, err
		}
		c.Letters, c.Partial = c.Letters[:len(c.Letters)/2], true
	}
}

// replace writes a new file next to the one that it then replaces. Anything that exists
// under the new file's name is removed and never followed.
func replace(file string, data []byte) (err error) {
	fresh := file + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(fresh, file)
	}
	if err != nil {
		_ = os.Remove(fresh) // it may use the last space of a full disk
	}
	return err
}
