package fedfile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// size is how much a file may hold for a schema to judge it, which takes some 300
// bytes for each value that is wrong.
type size struct {
	entries int            // of a list
	keys    int            // of a map
	values  int            // in all
	lists   map[string]int // by field, of those that may have fewer entries
}

// federationSize has room for the most clusters and apps with ten labels each. The
// keys of a map are those of labels and annotations.
var federationSize = size{
	entries: max(limit.Clusters, limit.Apps), keys: 1000, values: 300_000,
	lists: map[string]int{"spec.clusters": limit.Clusters, "spec.apps": limit.Apps},
}

// factsSize is for what a person lets fedsync write down of many clusters: lists are
// of objects, and maps of apps.
var factsSize = size{
	entries: 200_000, keys: limit.Apps, values: 2_000_000,
	lists: map[string]int{"clusters": limit.Clusters},
}

// tooMuch finds what makes a document too large to be judged.
func (f *format) tooMuch(doc *strictyaml.Document) Errors {
	w := sizing{f.size, mistakes{file: f.file, doc: doc}, 0}
	w.walk(doc.Value, nil)
	if w.count > f.size.values {
		w.tooMany("the file", w.count, "values", f.size.values)
	}
	return w.errors()
}

// sizing counts what is in a document.
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
