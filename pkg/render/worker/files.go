package worker

import (
	"errors"
	"io/fs"
	"path"

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
	if err != nil {
		text := err.Error()
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			text = e.Err.Error()
		}
		return answer{Error: text, Missing: errors.Is(err, fs.ErrNotExist)}, nil
	}
	return a, content
}

func listed(files fs.FS, name string) ([]entry, error) {
	list, err := fs.ReadDir(files, name)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(list))
	for i, e := range list {
		entries[i] = entry{Name: e.Name(), Mode: e.Type(), Digest: digest(files, path.Join(name, e.Name()))}
	}
	return entries, nil
}

func described(files fs.FS, name string) (entry, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return entry{}, err
	}
	return entry{Mode: info.Mode(), Size: info.Size(), Digest: digest(files, name)}, nil
}

// digest returns what identifies a file's content; empty where nothing does.
func digest(files fs.FS, name string) string {
	if d, ok := files.(federation.Digester); ok {
		if digest, err := d.Digest(name); err == nil {
			return digest
		}
	}
	return ""
}
