package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// A frame is a length of four bytes, most significant first, and that many
// bytes of JSON. It is followed by the raw bytes whose lengths the JSON states.
//
// The protocol: the process sends hello. The parent sends a request to render. The
// process asks questions and gets an answer to each, reports which work it begins and
// ends, and sends the clusters in the order of the federation, each after the objects,
// lists and errors that are new in it. Then it sends the end. The parent may tell it
// to stop before that, and then gets the end soon.
//
// The process may be compromised. So its messages are limited in each frame and over
// the rendering, and all of them are validated.

const (
	// maxHeader limits the JSON of a frame to the process, in bytes. The largest
	// frame lists a folder with as many files as a repository may have.
	maxHeader = 32 << 20
	// maxFromProcess limits a frame from the process, in bytes. Long content is sent
	// in pieces.
	maxFromProcess = 4 << 20
	// maxPiece is the approximate size of a piece, in bytes.
	maxPiece = 256 << 10
	// maxSome is how many elements a list in a frame from the process may have.
	maxSome = 1 << 14
)

// some is a list of at most maxSome elements. An element may have three bytes in JSON,
// and a hundred times as many in memory.
type some[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (s *some[T]) UnmarshalJSON(data []byte) error {
	*s = nil
	if string(data) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('[') {
		return errors.Join(errors.New("a frame has no list where it should have one"), err)
	}
	for decoder.More() {
		if len(*s) == maxSome {
			return fmt.Errorf("a frame has a list of more than %d elements", maxSome)
		}
		var one T
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		*s = append(*s, one)
	}
	return nil
}

// toProcess is a message from the parent: one of these.
type toProcess struct {
	Render *request `json:"render,omitempty"`
	Answer *answer  `json:"answer,omitempty"`
	Stop   bool     `json:"stop,omitempty"`
}

// A request asks for a revision to be rendered.
type request struct {
	Root     string    `json:"root"` // the digest of the tree; empty if it has none
	Clusters []cluster `json:"clusters"`
	Apps     []app     `json:"apps"`
	Refused  []refusal `json:"refused,omitempty"`
	// Late are the folders of apps for which no work is begun.
	Late []string `json:"late,omitempty"`
	// Left is the processor time left for the rendering; zero means no limit. When
	// it is used up, no further work begins.
	Left time.Duration `json:"left,omitempty"`
}

type cluster struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

type app struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Selector string `json:"selector,omitempty"`
}

// A refusal is work that must not begin, and why.
type refusal struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
}

// fromProcess is a message from the process: one of these.
type fromProcess struct {
	Hello *hello    `json:"hello,omitempty"`
	Ask   *question `json:"ask,omitempty"`
	Begin *work     `json:"begin,omitempty"`
	Ended bool      `json:"ended,omitempty"` // the work that began last has ended
	Given *given    `json:"given,omitempty"`
	End   *end      `json:"end,omitempty"`

	Objects  some[object]             `json:"objects,omitempty"` // their JSON follows the frame
	List     *list                    `json:"list,omitempty"`
	Failure  *failure                 `json:"failure,omitempty"`
	Findings some[federation.Finding] `json:"findings,omitempty"`
}

// hello states how the process is confined.
type hello struct {
	Filter string `json:"filter,omitempty"` // why there is no filter of system calls; empty if there is one
	Memory string `json:"memory,omitempty"` // why there is no memory limit; empty if there is one
}

type work struct {
	Dir string `json:"dir"`
	Key string `json:"key"`
}

// given is one cluster's bundles.
type given struct {
	Cluster int          `json:"cluster"`
	Bundles some[bundle] `json:"bundles"`
}

// A failure has an id by which later bundles of the rendering refer to it: many
// clusters may have the same error.
type failure struct {
	ID       uint64        `json:"id"`
	Problems some[problem] `json:"problems"`
}

// A list has an id by which later bundles refer to it, and the ids of its
// objects.
type list struct {
	ID      uint64       `json:"id"`
	Objects some[uint64] `json:"objects"`
}

// An object has an id by which later lists refer to it.
type object struct {
	ID   uint64 `json:"id"`
	File string `json:"file"`
	Size int    `json:"size"`
}

type bundle struct {
	App   int    `json:"app"`
	List  uint64 `json:"list,omitempty"`
	Error uint64 `json:"error,omitempty"` // 0 for none
}

// A problem is an error of a bundle: a render.Error, or a text.
type problem struct {
	*render.Error

	Text string `json:"text,omitempty"`
}

type end struct {
	Stopped bool `json:"stopped,omitempty"`
}

// A question is about the files of the revision.
type question struct {
	Op    string `json:"op"` // list, read, stat
	Name  string `json:"name"`
	Limit int64  `json:"limit,omitempty"` // most bytes to read
}

// An answer is followed by the content of a file, if one was requested.
type answer struct {
	Entry   entry   `json:"entry,omitzero"`    // to stat
	Entries []entry `json:"entries,omitempty"` // to list
	Size    int     `json:"size,omitempty"`    // of the content, to read
	Error   string  `json:"error,omitempty"`
	Missing bool    `json:"missing,omitempty"` // the error is that the file does not exist
}

// An entry describes a file or a folder. Links are not followed in a list.
type entry struct {
	Name   string      `json:"name,omitempty"`
	Mode   fs.FileMode `json:"mode,omitempty"`
	Digest string      `json:"digest,omitempty"`
	Size   int64       `json:"size,omitempty"` // only for stat
}

// writeFrame writes a frame and the raw bytes that follow it.
func writeFrame(w io.Writer, header any, behind ...[]byte) error {
	data, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if len(data) > maxHeader {
		return fmt.Errorf("a frame of %d bytes is more than %d", len(data), maxHeader)
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(data)), uint32(len(data))), data...)
	if _, err := w.Write(frame); err != nil {
		return err
	}
	for _, b := range behind {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads a frame's JSON of no more than most bytes, but not the raw bytes
// that follow it.
func readFrame(r *bufio.Reader, header any, most uint32) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > most {
		return fmt.Errorf("a frame of %d bytes is more than %d", n, most)
	}
	data, err := readBytes(r, int(n))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, header)
}

// readBytes reads n bytes. It allocates memory as they arrive, not as they are
// announced.
func readBytes(r io.Reader, n int) ([]byte, error) {
	const piece = 1 << 20
	data := make([]byte, 0, min(n, piece))
	for len(data) < n {
		from := len(data)
		data = append(data, make([]byte, min(n-from, piece))...)
		if _, err := io.ReadFull(r, data[from:]); err != nil {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
	return data, nil
}

// problems converts an error for the wire: its first mistakes, and how many more there
// are. The findings report more of them.
func problems(err error) []problem {
	errs := []error{err}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		errs = several.Unwrap()
	}
	more := len(errs) - limit.Mistakes
	if more > 0 {
		errs = errs[:limit.Mistakes]
	}
	all := make([]problem, len(errs))
	for i, err := range errs {
		if e, ok := errors.AsType[*render.Error](err); ok {
			all[i] = problem{Error: e}.short()
		} else {
			all[i] = problem{Text: err.Error()}.short()
		}
	}
	if more > 0 {
		all = append(all, problem{Text: limit.More(more)})
	}
	return all
}

// short truncates the texts of a problem.
func (p problem) short() problem {
	p.Text = limit.Message(p.Text)
	if p.Error != nil {
		e := *p.Error
		e.File, e.Field = limit.Text(e.File, limit.PathBytes), limit.Message(e.Field)
		e.Reason, e.Remedy = limit.Message(e.Reason), limit.Message(e.Remedy)
		p.Error = &e
	}
	return p
}

// short truncates the file name of a finding. Its message is bounded by its type.
func short(f federation.Finding) federation.Finding {
	f.File = limit.Text(f.File, limit.PathBytes)
	return f
}

// err converts a failure back to an error.
func (f failure) err() error {
	errs := make([]error, len(f.Problems))
	for i, p := range f.Problems {
		p = p.short()
		if errs[i] = p.Error; p.Error == nil {
			errs[i] = errors.New(p.Text)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
