package merge

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// The limits on merging a file line by line, and all files of a proposal. Above them, a
// file that both sides changed does not merge. The time bounds the cost of a file made to
// be slow; lines not compared in time count as changed.
const (
	mergeBytes = 1 << 20
	mergeLines = 20_000
	mergeTime  = time.Second

	mergeAllBytes = 64 << 20
	mergeAllLines = 300_000
)

// allowance is what is left for merging files line by line. A slow file has many lines.
type allowance struct{ bytes, lines int }

// take deducts three texts from the allowance, and reports whether they may be merged.
func (a *allowance) take(texts ...[]byte) bool {
	for _, text := range texts {
		lines := bytes.Count(text, []byte("\n"))
		if len(text) > mergeBytes || lines > mergeLines || bytes.IndexByte(text, 0) >= 0 {
			return false
		}
		a.bytes -= len(text)
		a.lines -= lines
	}
	return a.bytes >= 0 && a.lines >= 0
}

// edit replaces some lines of a text.
type edit struct {
	from, to int // lines of the base; to is exclusive
	lines    []string
}

// mergeText merges two versions of a text, and reports whether their changes are
// separate. As in git merge, changes of adjacent lines are not.
func mergeText(base, ours, theirs []byte) ([]byte, bool) {
	mine, yours := edits(string(base), string(ours)), edits(string(base), string(theirs))
	lines := strings.SplitAfter(string(base), "\n")
	var out bytes.Buffer
	at := 0 // the first line of base that is not written yet
	write := func(e edit) {
		for _, line := range lines[at:e.from] {
			out.WriteString(line)
		}
		for _, line := range e.lines {
			out.WriteString(line)
		}
		at = e.to
	}
	for len(mine) > 0 || len(yours) > 0 {
		switch {
		case len(yours) == 0 || len(mine) > 0 && mine[0].to < yours[0].from:
			write(mine[0])
			mine = mine[1:]
		case len(mine) == 0 || yours[0].to < mine[0].from:
			write(yours[0])
			yours = yours[1:]
		case mine[0].equal(yours[0]):
			write(mine[0])
			mine, yours = mine[1:], yours[1:]
		default:
			return nil, false
		}
	}
	write(edit{from: len(lines), to: len(lines)})
	return out.Bytes(), true
}

func (e edit) equal(o edit) bool {
	return e.from == o.from && e.to == o.to && slices.Equal(e.lines, o.lines)
}

// edits returns the edits that turn from into to, from the first line to the
// last.
func edits(from, to string) []edit {
	var all []edit
	line, open := 0, false
	for _, d := range diff.DoWithTimeout(from, to, mergeTime) {
		lines := strings.SplitAfter(d.Text, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		if d.Type == diffmatchpatch.DiffEqual {
			line += len(lines)
			open = false
			continue
		}
		if !open {
			all = append(all, edit{from: line, to: line})
			open = true
		}
		last := &all[len(all)-1]
		if d.Type == diffmatchpatch.DiffInsert {
			last.lines = append(last.lines, lines...)
			continue
		}
		line += len(lines)
		last.to = line
	}
	return all
}
