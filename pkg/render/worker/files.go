package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// answerTo answers a question about the files of a revision.
func answerTo(files fs.FS, q question) (answer, []byte) {
	var (
		a       answer
		content []byte
		err     error
	)
	switch {
	case len(q.Name) > limit.PathBytes:
		err = fs.ErrInvalid
	default:
		a, content, err = answered(files, q)
	}
	if err != nil {
		text := err.Error()
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			text = e.Err.Error()
		}
		return answer{Error: limit.Message(text), Missing: errors.Is(err, fs.ErrNotExist)}, nil
	}
	return a, content
}

func answered(files fs.FS, q question) (a answer, content []byte, err error) {
	switch q.Op {
	case "list":
		a.Entries, err = listed(files, q.Name)
	case "stat":
		a.Entry, err = described(files, q.Name)
	case "read":
		content, err = render.ReadFile(files, q.Name, q.Limit)
		a.Size = len(content)
	default:
		err = errors.New("no such question")
	}
	return a, content, err
}

func listed(files fs.FS, name string) ([]entry, error) {
	list, err := fs.ReadDir(files, name)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(list))
	size := 0
	for i, e := range list {
		if size += encoded(e.Name()); size > maxHeader {
			return nil, fmt.Errorf("the names in the folder have more than %d MiB", maxHeader>>20)
		}
		entries[i] = entry{Name: e.Name(), Mode: e.Type(), Digest: digest(files, path.Join(name, e.Name()))}
	}
	return entries, nil
}

// encoded returns an upper bound of the JSON size of an entry with this name, in
// bytes.
func encoded(name string) int {
	const escaped = 6 // bytes
	size := len(`{"name":"","mode":1234567890,"digest":""},`) + digestBytes
	for _, b := range []byte(name) {
		if b < ' ' || b > '~' || strings.IndexByte(`<>&"\`, b) >= 0 {
			size += escaped - 1
		}
	}
	return size + len(name)
}

// digestBytes is more than the length of a digest, which is two of Git's ids.
const digestBytes = 100

func described(files fs.FS, name string) (entry, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return entry{}, err
	}
	return entry{Mode: info.Mode(), Size: info.Size(), Digest: digest(files, name)}, nil
}

// digest returns what identifies a file's content; empty if there is no digest.
func digest(files fs.FS, name string) string {
	if d, ok := files.(federation.Digester); ok {
		if digest, err := d.Digest(name); err == nil {
			return digest
		}
	}
	return ""
}
