package bitbucket

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/fedsync/fedsync/pkg/status/forgeclient"
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

// states are Bitbucket's words.
var states = forgeclient.States[string]{Pending: "INPROGRESS", Success: "SUCCESSFUL", Failure: "FAILED"}
