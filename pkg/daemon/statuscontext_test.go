package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// under returns the contexts under which something was posted for a commit, sorted.
func (n *notebook) under(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var contexts []string
	for _, c := range n.posts {
		if c.SHA == shaOf(name) {
			contexts = append(contexts, c.Context)
		}
	}
	slices.Sort(contexts)
	return slices.Compact(contexts)
}

func TestAStatusIsPostedUnderNoContextThatTheOperatorDoesNotAllow(t *testing.T) {
	const spec = "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: %s}\nspec:\n" +
		"  commitStatus: %s\n  clusters: [{name: a}, {name: b}]\n  apps: [{name: web, path: web}]\n"
	for name, c := range map[string]struct {
		allowed      []string
		federation   string
		commitStatus string
		want         []string
		refused      string // part of the finding; empty for none
	}{
		"the default":                   {nil, "web", "{}", []string{"fedsync/web"}, ""},
		"another below fedsync":         {nil, "web", "{context: fedsync/shop}", []string{"fedsync/shop"}, ""},
		"that of another check":         {nil, "web", "{context: ci/required}", []string{"fedsync/web"}, `"ci/required" is not allowed here: it is posted as "fedsync/web"`},
		"a prefix that only looks like": {nil, "web", "{context: fedsynced/web}", []string{"fedsync/web"}, `"fedsynced/web" is not allowed`},
		"one that is allowed":           {[]string{"deploy/*"}, "web", "{context: deploy/web}", []string{"deploy/web"}, ""},
		"a name that is not allowed":    {[]string{"fedsync/web"}, "shop", "{}", []string{"fedsync"}, `"fedsync/shop" is not allowed here: it is posted as "fedsync"`},
		"clusters below fedsync":        {nil, "web", "{perCluster: true}", []string{"fedsync/web", "fedsync/web/a", "fedsync/web/b"}, ""},
		"a cluster with a check's name": {[]string{"ci", "ci/b"}, "web", "{context: ci, perCluster: true}", []string{"ci"}, `"ci/a" of a cluster is not allowed here: only "ci" is posted`},
		"no pattern at all":             {[]string{}, "web", "{}", []string{"fedsync"}, `"fedsync/web" is not allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := stagedConfig(t)
			if c.allowed != nil {
				cfg.StatusContexts = c.allowed
			}
			synctest.Test(t, func(t *testing.T) {
				s := stage(t, cfg)
				defer s.stop()
				s.push("one", map[string]string{"fedsync.yaml": fmt.Sprintf(spec, c.federation, c.commitStatus), "web/web.yaml": stagedReplicas("well")})
				r := s.pass(time.Minute)
				if got := s.forge.under("one"); !slices.Equal(got, c.want) {
					t.Errorf("posted under %q, want %q", got, c.want)
				}
				i := slices.IndexFunc(r.Findings, func(f federation.Finding) bool { return f.ID == "policy" })
				switch {
				case c.refused == "":
					if i >= 0 || r.State != status.Success {
						t.Errorf("findings %v, state %s; want success without a refusal", r.Findings, r.State)
					}
				case i < 0:
					t.Errorf("findings %v, want one of the policy", r.Findings)
				default:
					f := r.Findings[i]
					if !strings.Contains(f.Message.String(), c.refused) || !strings.Contains(f.Message.String(), "--status-contexts") || f.File != "fedsync.yaml" || f.Line != 5 && c.commitStatus != "{}" {
						t.Errorf("finding %+v, want file, line 5, the setting and %q", f, c.refused)
					}
					if r.State != status.Failure {
						t.Errorf("state %s, want a visible failure", r.State)
					}
				}
			})
		})
	}
}

func TestAFileWithMistakesFailsItsCommitUnderAnAllowedContext(t *testing.T) {
	for file, want := range map[string]string{
		"metadata: {name: web}\nspec: {commitStatus: {context: ci/required}}":             "fedsync/web",
		"metadata: {name: \"web\\nx\"}":                                                   "fedsync",
		"metadata: {name: web}\nspec: {commitStatus: {context: \"fedsync/x\\n\\e[31m\"}}": "fedsync/web",
		"metadata: {name: web}\nspec: {commitStatus: {context: fedsync/shop}}":            "fedsync/shop",
	} {
		cfg := stagedConfig(t)
		synctest.Test(t, func(t *testing.T) {
			s := stage(t, cfg)
			defer s.stop()
			s.push("one", map[string]string{"fedsync.yaml": file})
			s.pass(time.Minute)
			if got := s.forge.under("one"); !slices.Equal(got, []string{want}) {
				t.Errorf("posted under %q for %q, want %q", got, file, want)
			}
		})
	}
}
