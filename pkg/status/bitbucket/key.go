package bitbucket

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	maxKey  = 40 // Bitbucket's limit
	hashLen = 12
)

// keyOf returns the key of a status context: the readable beginning of the context, and a
// hash of all of it, so that different contexts have different keys. The scheme must
// never change: existing statuses would no longer be updated.
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

// states are Bitbucket's words for the states.
var states = forgeclient.States[string]{Pending: "INPROGRESS", Success: "SUCCESSFUL", Failure: "FAILED"}
