package roll

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Roster is every cluster that this source brought something to and that was not
// left or emptied since: the members of the last revision, and those that left it
// and are still being emptied. It outlives a restart, so that a cluster that was
// taken out of the file meanwhile is emptied too, where the file says so. It is
// kept in the cache folder; losing it orphans what left during that time.
type Roster struct {
	Federation string            `json:"federation"`
	Clusters   map[string]string `json:"clusters"` // the contexts, by name
	// Brought is which cluster each name led to when something was last brought
	// there, as far as that is known. A roster of an earlier version has none.
	Brought map[string]brought `json:"brought,omitempty"`
}

// brought is the cluster behind a name.
type brought struct {
	UID string `json:"uid"`
	// Since is the sha of the revision that was the first to be brought there by
	// this name.
	Since string `json:"since"`
	// Before is the uid that the name led to until then; empty where it led
	// nowhere.
	Before string `json:"before,omitempty"`
}

// RosterFile is where the roster of a source is kept, in a folder.
func RosterFile(dir, source string) string { return filepath.Join(dir, "roster-"+source+".json") }

// ReadRoster reads what Keep wrote; empty where there is none that can be read.
func ReadRoster(file string) Roster {
	var r Roster
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return Roster{} // the first start, or a cache that was cleaned
	}
	return r
}

// Next returns the roster under a federation, and the clusters that leave it to be
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
		return now, nil // what left is forgotten, and stays as it is
	}
	var leaving []federation.Cluster
	contexts := slices.Collect(maps.Values(now.Clusters))
	for _, name := range slices.Sorted(maps.Keys(r.Clusters)) {
		context := r.Clusters[name]
		// A cluster that only got another name in the file did not leave.
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

// Without returns the roster when a cluster has been emptied, or turned out to be
// a member under another name.
func (r Roster) Without(name string) Roster {
	r.Clusters, r.Brought = maps.Clone(r.Clusters), maps.Clone(r.Brought)
	delete(r.Clusters, name)
	delete(r.Brought, name)
	return r
}

// Keep writes the roster to a file.
func (r Roster) Keep(file string) error { return writeJSON(file, r) }

// Equal reports whether two rosters say the same.
func (r Roster) Equal(o Roster) bool {
	return r.Federation == o.Federation && maps.Equal(r.Clusters, o.Clusters) && maps.Equal(r.Brought, o.Brought)
}

// writeJSON replaces a file as a whole: a crash leaves the one before.
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
