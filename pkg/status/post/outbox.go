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

// The bounds of an outbox. Fewer letters are ever kept: the superseded ones that may
// wait, and those of the newest revision.
const (
	outboxLetters = 256
	outboxBytes   = 1 << 20 // of the file
	outboxWords   = 2 << 10 // of a description, in bytes
)

// outbox is the file in which a Poster keeps what a restart must not lose: the statuses
// of the newest revision, and those of earlier ones that wait to be posted. What is
// posted already the forge knows better, so a letter is a wish, and compared with what
// the forge has before anything is posted.
type outbox struct{ file string }

// letter is one status that is kept.
type letter struct {
	SHA         string       `json:"sha"`
	Context     string       `json:"context"`
	State       status.State `json:"state,omitempty"` // empty where only the forge knows what it was
	Description string       `json:"description,omitempty"`
	Since       time.Time    `json:"since"`               // since when it has been wanted as a success, or as none
	By          string       `json:"by,omitempty"`        // what took the commit's place; empty while nothing did
	ByTime      time.Time    `json:"byTime,omitzero"`     // when
	IfPending   bool         `json:"ifPending,omitempty"` // it matters only where the forge has our pending
}

// content is that of the file.
type content struct {
	Letters []letter `json:"letters"`
	Partial bool     `json:"partial,omitempty"` // earlier ones were lost, and not looked for yet

	// What earlier versions kept: the newest commit.
	SHA      string   `json:"sha,omitempty"`
	Contexts []string `json:"contexts,omitempty"`
}

// errIncomplete says that letters may be missing.
var errIncomplete = errors.New("not all that waits was kept")

// stale is where the letters are when newer ones could not be written.
func (o outbox) stale() string { return o.file + ".old" }

// read returns what is kept. With an error the letters, if any, may not be all: there is
// no file, as at the first start, or it is damaged.
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
	letters, err := sound(c.Letters)
	if c.Partial {
		err = errIncomplete
	}
	return letters, err
}

// sound returns the letters that may be, cleaned. A bad one loses itself alone.
func sound(letters []letter) ([]letter, error) {
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

// write replaces what is kept. A crash at any point leaves the old or the new letters.
// If it fails, what was kept is still read at the next start, as possibly incomplete.
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

// encode leaves out the last letters, which are the least important, where all would be
// too many.
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

// replace writes a file beside the one that it then takes the place of. What stands at
// that name is removed and never followed.
func replace(file string, data []byte) (err error) {
	beside := file + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(beside, file)
	}
	if err != nil {
		_ = os.Remove(beside) // it frees what a full disk has left
	}
	return err
}
