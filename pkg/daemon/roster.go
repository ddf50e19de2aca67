package daemon

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// roster is every cluster that this source brought something to and that was not
// left or emptied since: the members of the last revision, and those that left it
// and are still being emptied. It outlives a restart, so that a cluster that was
// taken out of the file meanwhile is emptied too, where the file says so. It is
// kept in the cache folder; losing it orphans what left during that time.
type roster struct {
	Federation string            `json:"federation"`
	Clusters   map[string]string `json:"clusters"` // the contexts, by name
}

func rosterFile(dir, source string) string { return filepath.Join(dir, "roster-"+source+".json") }

func readRoster(file string) roster {
	var r roster
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return roster{} // the first start, or a cache that was cleaned
	}
	return r
}

// next is the roster under a federation, and the clusters that leave it to be
// emptied, by name.
func (r roster) next(f *federation.Federation) (roster, []federation.Cluster) {
	now := roster{Federation: f.Name, Clusters: map[string]string{}}
	for _, c := range f.Clusters {
		now.Clusters[c.Name] = c.Context
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
		}
	}
	return now, leaving
}

// without is the roster when a cluster has been emptied.
func (r roster) without(name string) roster {
	clusters := maps.Clone(r.Clusters)
	delete(clusters, name)
	return roster{Federation: r.Federation, Clusters: clusters}
}

func (r roster) equal(o roster) bool {
	return r.Federation == o.Federation && maps.Equal(r.Clusters, o.Clusters)
}
