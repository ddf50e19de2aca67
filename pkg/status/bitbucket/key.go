package bitbucket

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
)

const (
	maxKey  = 40 // what Bitbucket takes
	hashLen = 12
)

// keyOf returns the key of a status context: the beginning of the context for people,
// and a hash of all of it, so that two contexts have two keys. It is the same for ever:
// another key would leave the statuses of before as they are.
func keyOf(context string) string {
	sum := sha256.Sum256([]byte(context))
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, context)
	readable = readable[:min(len(readable), maxKey-hashLen-1)]
	return readable + "-" + hex.EncodeToString(sum[:])[:hashLen]
}

func stateOf(s status.State) string {
	switch s {
	case status.Pending:
		return "INPROGRESS"
	case status.Success:
		return "SUCCESSFUL"
	case status.Failure:
		return "FAILED"
	}
	return "FAILED"
}

// stateFrom reads a state of Bitbucket's. One that we never post means that somebody
// else posted under our key; a failure is what it comes closest to.
func stateFrom(s string) status.State {
	switch s {
	case "INPROGRESS":
		return status.Pending
	case "SUCCESSFUL":
		return status.Success
	}
	return status.Failure
}
