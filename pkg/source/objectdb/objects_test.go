package objectdb

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

func TestACommitMayHaveHeadersOfAnyLength(t *testing.T) {
	const who = "author a <b> 1 +0000\ncommitter a <b> 1700000000 +0100\n"
	for name, header := range map[string]string{
		"signature":  "gpgsig" + strings.Repeat(" x\n", 300_000),
		"merged tag": "mergetag object x\n" + strings.Repeat(" y\n", 300_000),
		"unknown":    strings.Repeat("x-header y\n z\n", 70_000),
	} {
		begun := time.Now()
		c, err := ParseCommit(plumbing.ZeroHash, []byte("tree "+emptyTree+"\n"+who+header+"\n the subject\n\nmore\n"))
		if err != nil || c.Subject != "the subject" || c.Tree.String() != emptyTree || c.Time.Unix() != 1700000000 {
			t.Errorf("%s: parseCommit = %+v, %v", name, c, err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

// A report holds the time of its commit.
func TestTheTimeOfACommitCanBeWritten(t *testing.T) {
	for date, want := range map[string]string{
		"1700000000 +0130":          "2023-11-14T23:43:20+01:30",
		"1700000000 +9959":          "2023-11-14T22:13:20Z",
		"1000000000000 +0000":       "0001-01-01T00:00:00Z",
		"-99999999999999 +0000":     "0001-01-01T00:00:00Z",
		"9223372036854775807 +0000": "0001-01-01T00:00:00Z",
		"253402300799 -0100":        "9999-12-31T22:59:59-01:00",
	} {
		c, err := ParseCommit(plumbing.ZeroHash, []byte("tree "+emptyTree+"\nauthor a <b> "+date+"\ncommitter a <b> "+date+"\n\nx\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(c.Time); string(got) != `"`+want+`"` || err != nil {
			t.Errorf("the time of %s = %s, %v, want %s", date, got, err, want)
		}
	}
}
