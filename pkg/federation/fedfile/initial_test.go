package fedfile_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

// Whatever the names of the contexts, the file is valid and has each context exactly once.
func TestAnInitialFileCanBeRead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // A seed makes it again.
	pieces := []string{"gke_", "p_", "zone_", "arn:aws:eks:r:1:cluster/", "a", "B", "ü", "@", ":", "- ", "#", "'", "\"", "\n", "null", "1", "yes", strings.Repeat("long", 30)}
	for range 2000 {
		contexts := map[string]bool{}
		for range 1 + random.IntN(8) {
			name := ""
			for range 1 + random.IntN(5) {
				name += pieces[random.IntN(len(pieces))]
			}
			contexts[name] = true
		}
		var list []string
		for name := range contexts {
			list = append(list, name)
		}
		text := fedfile.Initial("My federation", list, []string{"apps/Shop", "apps/1"})
		f, err := fedfile.Parse("", []byte(text))
		if err != nil {
			t.Fatalf("contexts %q: %v\n%s", list, err, text)
		}
		if len(f.Clusters) != len(list) || len(f.Apps) != 2 || f.Name != "my-federation" {
			t.Fatalf("contexts %q: got %+v", list, f)
		}
		for _, c := range f.Clusters {
			if !contexts[c.Context] {
				t.Fatalf("context %q is not one of %q:\n%s", c.Context, list, text)
			}
			delete(contexts, c.Context)
		}
	}
}
