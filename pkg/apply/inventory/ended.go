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

// MostEnded bounds how many Jobs a parent remembers. With the longest names they take
// half of the 1 MiB that a ConfigMap may have.
const MostEnded = 2000

// endedPrefix begins the keys of ended Jobs in a parent's data.
const endedPrefix = "job."

// maxKey is the maximum length of a ConfigMap's key.
const maxKey = 253

// Ended is how a Job ended, and for which rendering. A Job with a TTL is deleted some
// time after it ends, so the parent records that it must not be created again.
type Ended struct {
	Failed bool
	Digest string // of the rendered object
}

// EndedKey returns the key in a parent's data that records how a Job ended. Removing it
// makes the Job run again.
func EndedKey(job federation.ObjectRef) string {
	key := endedPrefix + job.Namespace + "." + job.Name // a namespace has no dots
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = endedPrefix + hex.EncodeToString(sum[:])
	}
	return key
}

// text returns the value in a parent's data.
func (e Ended) text() string {
	if e.Failed {
		return "Failed " + e.Digest
	}
	return "Complete " + e.Digest
}

// readEnded returns the ended Jobs that a parent records, by key. A malformed record is
// the zero Ended, which matches no rendering.
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

// MergeEnded returns the ended Jobs of the parent, and those of other that the parent
// does not record.
func (p Parent) MergeEnded(other map[string]Ended) map[string]Ended {
	out := map[string]Ended{}
	maps.Copy(out, other)
	maps.Copy(out, p.Ended)
	return Bounded(out)
}

// EndedFor returns the records of Jobs that ended for these renderings. The renderings
// are by the Jobs' keys.
func (p Parent) EndedFor(renderings map[string]string) map[string]Ended {
	out := map[string]Ended{}
	for key, e := range p.Ended {
		if e.Digest != "" && e.Digest == renderings[key] {
			out[key] = e
		}
	}
	return out
}

// Bounded returns at most MostEnded of the records: the first by key.
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
