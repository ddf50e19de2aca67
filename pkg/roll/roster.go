package roll

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Roster is every cluster that this source applied something to and that was not left
// or emptied since: the members of the last revision, and those that left it and are
// still being emptied. It outlives a restart, so that a cluster that left the file
// while fedsync was down is emptied too, if the file asks for that. It is stored in the
// cache folder; losing it orphans what left during that time.
type Roster struct {
	Federation string            `json:"federation"`
	Clusters   map[string]string `json:"clusters"` // the contexts, by name
	// Brought is the cluster that each name led to when something was last applied
	// there, as far as is known. A roster of an earlier version has none.
	Brought map[string]brought `json:"brought,omitempty"`
}

// brought is the cluster behind a name.
type brought struct {
	UID string `json:"uid"`
	// Since is the sha of the first revision that was applied there under this name.
	Since string `json:"since"`
	// Before is the uid that the name led to until then; empty if it led nowhere.
	Before string `json:"before,omitempty"`
}

// RosterFile returns the file in a folder that stores the roster of a source.
func RosterFile(dir, source string) string { return filepath.Join(dir, "roster-"+source+".json") }

// ReadRoster reads a file that Keep wrote. The roster is empty if there is none that
// can be read.
func ReadRoster(file string) Roster {
	var r Roster
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return Roster{} // the first start, or a cleared cache
	}
	return r
}

// Next returns the roster of a federation, and the clusters that leave it and should be
// emptied, by name.
func (r Roster) Next(f *federation.Federation) (Roster, []federation.Cluster) {
	now := Roster{Federation: f.Name, Clusters: map[string]string{}, Brought: map[string]brought{}}
	for _, c := range f.Clusters {
		now.Clusters[c.Name] = c.Context
		if b, ok := r.Brought[c.Name]; ok && r.Federation == f.Name {
			now.Brought[c.Name] = b
		}
	}
	if f.OnRemove != federation.OnRemoveDelete || r.Federation != f.Name {
		return now, nil // what left is forgotten, and stays unchanged
	}
	var leaving []federation.Cluster
	contexts := slices.Collect(maps.Values(now.Clusters))
	for _, name := range slices.Sorted(maps.Keys(r.Clusters)) {
		context := r.Clusters[name]
		// A cluster that only changed its name in the file did not leave.
		if now.Clusters[name] == "" && !slices.Contains(contexts, context) {
			leaving = append(leaving, federation.Cluster{Name: name, Context: context})
			now.Clusters[name] = context
			if b, ok := r.Brought[name]; ok {
				now.Brought[name] = b
			}
		}
	}
	return now, leaving
}

// Without returns the roster without a cluster that was emptied, or that turned out to
// be a member under another name.
func (r Roster) Without(name string) Roster {
	r.Clusters, r.Brought = maps.Clone(r.Clusters), maps.Clone(r.Brought)
	delete(r.Clusters, name)
	delete(r.Brought, name)
	return r
}

// Keep writes the roster to a file.
func (r Roster) Keep(file string) error { return writeJSON(file, r) }

// Equal reports whether two rosters are equal.
func (r Roster) Equal(o Roster) bool {
	return r.Federation == o.Federation && maps.Equal(r.Clusters, o.Clusters) && maps.Equal(r.Brought, o.Brought)
}

// writeJSON replaces a file as a whole: a crash leaves the previous file.
func writeJSON(file string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
