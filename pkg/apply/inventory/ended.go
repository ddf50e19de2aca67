package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// MostEnded bounds how many Jobs a parent remembers: with the longest names they take
// half of the 1 MiB that a ConfigMap may have.
const MostEnded = 2000

// endedPrefix is what the keys of ended Jobs begin with in a parent's data.
const endedPrefix = "job."

// maxKey is how long a key of a ConfigMap may be.
const maxKey = 253

// Ended is how a Job ended, and for which rendering of it. A Job with a TTL is deleted
// some time after that, and the parent has to say that it is not to be made again.
type Ended struct {
	Failed bool
	Digest string // of the rendered object
}

// EndedKey is the key under which a parent's data has how a Job ended. A person who
// removes it has the Job run again.
func EndedKey(job federation.ObjectRef) string {
	key := endedPrefix + job.Namespace + "." + job.Name // a namespace has no dots
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = endedPrefix + hex.EncodeToString(sum[:])
	}
	return key
}

// text is the value in a parent's data.
func (e Ended) text() string {
	if e.Failed {
		return "Failed " + e.Digest
	}
	return "Complete " + e.Digest
}

// readEnded returns what a parent says of ended Jobs, by key. What is no record is the
// zero Ended, which is that of no rendering.
func readEnded(u *unstructured.Unstructured) map[string]Ended {
	data, _, _ := unstructured.NestedMap(u.Object, "data")
	out := map[string]Ended{}
	for key, value := range data {
		if !strings.HasPrefix(key, endedPrefix) {
			continue
		}
		text, _ := value.(string)
		switch how, digest, _ := strings.Cut(text, " "); how {
		case "Complete", "Failed":
			out[key] = Ended{Failed: how == "Failed", Digest: digest}
		default:
			out[key] = Ended{}
		}
	}
	return out
}

// EndedBeside returns what the parent says of ended Jobs and, of others, what another one
// says.
func (p Parent) EndedBeside(other map[string]Ended) map[string]Ended {
	out := map[string]Ended{}
	maps.Copy(out, other)
	maps.Copy(out, p.Ended)
	return Bounded(out)
}

// EndedFor returns what the parent says of Jobs that ended for these renderings, which are
// by the Jobs' keys.
func (p Parent) EndedFor(renderings map[string]string) map[string]Ended {
	out := map[string]Ended{}
	for key, e := range p.Ended {
		if e.Digest != "" && e.Digest == renderings[key] {
			out[key] = e
		}
	}
	return out
}

// Bounded returns at most MostEnded of the records: the first by their keys.
func Bounded(ended map[string]Ended) map[string]Ended {
	if len(ended) <= MostEnded {
		return ended
	}
	out := make(map[string]Ended, MostEnded)
	for _, key := range slices.Sorted(maps.Keys(ended))[:MostEnded] {
		out[key] = ended[key]
	}
	return out
}
