package fedfile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// size bounds what a file may hold. The schema validates only what is within it, since
// validation takes some 300 bytes for each invalid value.
type size struct {
	entries int            // of a list
	keys    int            // of a map
	values  int            // in total
	lists   map[string]int // the entries of lists with a smaller limit, by field
}

// federationSize has room for the maximum of clusters and apps with ten labels each. The
// maps with many keys are those of labels and annotations.
var federationSize = size{
	entries: max(limit.Clusters, limit.Apps), keys: 1000, values: 300_000,
	lists: map[string]int{"spec.clusters": limit.Clusters, "spec.apps": limit.Apps},
}

// factsSize has room for the facts that fedsync writes about many clusters: the long
// lists hold objects, and the maps are keyed by app.
var factsSize = size{
	entries: 200_000, keys: limit.Apps, values: 2_000_000,
	lists: map[string]int{"clusters": limit.Clusters},
}

// tooMuch returns what makes a document too large to be validated.
func (f *format) tooMuch(doc *strictyaml.Document) Errors {
	w := sizing{f.size, mistakes{file: f.file, doc: doc}, 0}
	w.walk(doc.Value, nil)
	if w.count > f.size.values {
		w.tooMany("the file", w.count, "values", f.size.values)
	}
	return w.errors()
}

// sizing counts the values in a document.
type sizing struct {
	size
	mistakes

	count int
}

func (w *sizing) walk(v any, at []string) {
	w.count++
	switch v := v.(type) {
	case map[string]any:
		if len(v) > w.keys {
			w.tooMany("the map", len(v), "keys", w.keys, at...)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			w.walk(v[key], append(at, key))
		}
	case []any:
		most := w.entries
		if len(at) <= 2 {
			if its, known := w.lists[fieldOf(at)]; known {
				most = its
			}
		}
		if len(v) > most {
			w.tooMany("the list", len(v), "entries", most, at...)
		}
		for i, item := range v {
			switch item.(type) {
			case map[string]any, []any:
				w.walk(item, append(at, strconv.Itoa(i)))
			default:
				w.count++
			}
		}
	}
}

func (w *sizing) tooMany(what string, has int, things string, most int, at ...string) {
	w.add(func() string {
		return fmt.Sprintf("%s has %s %s; at most %s are allowed", what, limit.Number(has), things, limit.Number(most))
	}, at...)
}
