package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fedsync/fedsync/"

// mayImport is the drawing in docs/architecture.md: which packages of this module each
// package may import. Every package must be listed.
var mayImport = map[string][]string{
	"cmd/fedsync":                {"internal/fields", "internal/printer", "pkg/*"},
	"internal/printer":           {"pkg/federation", "pkg/preview", "pkg/status", "pkg/federation/fedfile"},
	"pkg/federation":             {},
	"pkg/federation/fedfile":     {"internal/strictyaml", "pkg/federation"},
	"pkg/failure":                {"pkg/federation"},
	"pkg/source":                 {"internal/multiack", "internal/secret", "internal/untrusted", "pkg/bounds", "pkg/failure", "pkg/federation", "internal/gitssh", "pkg/source/filewatch", "pkg/source/gitdir", "pkg/source/merge", "pkg/source/objectdb", "pkg/source/tree", "pkg/source/worktree"},
	"pkg/source/filewatch":       {},
	"pkg/source/gitdir":          {"pkg/source/objectdb"},
	"pkg/source/merge":           {"pkg/source/objectdb", "pkg/source/tree"},
	"pkg/source/objectdb":        {},
	"pkg/source/tree":            {"internal/secret", "pkg/federation", "pkg/source/objectdb"},
	"pkg/source/worktree":        {"pkg/source/gitdir", "pkg/source/objectdb", "pkg/source/tree"},
	"pkg/source/sourcetest":      {},
	"pkg/render":                 {"pkg/federation", "pkg/render/kustomize", "pkg/render/manifest", "pkg/federation/fedfile"},
	"pkg/render/kustomize":       {"pkg/federation", "pkg/render/kustomize/shortcut", "pkg/render/manifest", "internal/strictyaml"},
	"pkg/render/manifest":        {"pkg/federation", "internal/strictyaml"},
	"pkg/render/worker":          {"internal/raced", "pkg/federation", "pkg/render"},
	"pkg/schedule":               {"pkg/federation", "pkg/schedule/ports", "pkg/schedule/replicas"},
	"pkg/schedule/ports":         {"pkg/federation"},
	"pkg/schedule/replicas":      {"pkg/federation"},
	"pkg/claim":                  {"internal/bell", "pkg/federation"},
	"pkg/apply":                  {"internal/fields", "pkg/apply/*", "pkg/federation"},
	"pkg/apply/table":            {"pkg/apply/agenda", "pkg/apply/inventory", "pkg/apply/object", "pkg/apply/ownership", "pkg/apply/refusal", "pkg/apply/state", "pkg/apply/write", "pkg/federation"},
	"pkg/apply/standing":         {"pkg/apply/agenda", "pkg/apply/inventory", "pkg/apply/object", "pkg/apply/refusal", "pkg/apply/state", "pkg/apply/write", "pkg/federation"},
	"pkg/apply/agenda":           {"pkg/apply/object", "pkg/apply/refusal", "pkg/apply/state", "pkg/federation"},
	"pkg/apply/state":            {"pkg/apply/inventory", "pkg/apply/object", "pkg/apply/ownership", "pkg/apply/refusal", "pkg/apply/write", "pkg/federation"},
	"pkg/apply/write":            {"pkg/apply/backup", "pkg/apply/inventory", "pkg/apply/object", "pkg/apply/ownership", "pkg/apply/refusal", "pkg/apply/request", "pkg/bounds", "pkg/federation"},
	"pkg/apply/backup":           {"pkg/apply/inventory", "pkg/apply/object", "pkg/apply/ownership", "pkg/apply/refusal", "pkg/apply/request", "pkg/bounds", "pkg/federation"},
	"pkg/apply/request":          {"pkg/apply/object", "pkg/apply/ownership", "pkg/apply/refusal", "pkg/bounds", "pkg/failure", "pkg/federation"},
	"pkg/apply/object":           {"pkg/apply/inventory", "pkg/apply/ownership", "pkg/federation"},
	"pkg/apply/refusal":          {"pkg/failure", "pkg/federation"},
	"pkg/apply/inventory":        {"pkg/federation"},
	"pkg/apply/ownership":        {"pkg/federation"},
	"pkg/bounds":                 {"internal/secret", "pkg/failure"},
	"pkg/access":                 {"pkg/federation"},
	"pkg/probe":                  {"internal/secret", "pkg/bounds", "pkg/failure", "pkg/federation"},
	"pkg/watch":                  {"internal/secret", "pkg/bounds", "pkg/failure", "pkg/federation"},
	"pkg/facts":                  {"internal/live", "pkg/failure", "pkg/federation", "pkg/watch"},
	"pkg/health":                 {"internal/live", "pkg/federation"},
	"pkg/diagnose":               {"pkg/failure", "pkg/federation"},
	"pkg/execplugin":             {},
	"pkg/member":                 {"internal/bell", "internal/secret", "pkg/apply", "pkg/apply/inventory", "pkg/apply/object", "pkg/apply/standing", "pkg/apply/table", "pkg/bounds", "pkg/claim", "pkg/facts", "pkg/failure", "pkg/federation", "pkg/health", "pkg/probe", "pkg/watch"},
	"pkg/gcp":                    {"pkg/federation"},
	"pkg/gcp/balancer":           {"pkg/federation", "pkg/gcp", "pkg/gcp/balancer/readiness"},
	"pkg/gcp/balancer/readiness": {"pkg/federation", "pkg/gcp"},
	"pkg/gcp/planner":            {"pkg/federation", "pkg/gcp"},
	"pkg/gcp/traffic":            {"pkg/federation", "pkg/gcp", "pkg/gcp/balancer"},
	"pkg/gcp/gce":                {"internal/secret", "pkg/bounds", "pkg/failure", "pkg/gcp", "pkg/gcp/gce/convert"},
	"pkg/gcp/gce/convert":        {"pkg/gcp"},
	"pkg/gcp/keeper":             {"pkg/federation", "pkg/gcp", "pkg/gcp/balancer", "pkg/gcp/planner", "pkg/gcp/traffic"},
	"pkg/gcp/gcetest":            {},
	"pkg/gcp/gcptest":            {"pkg/federation", "pkg/gcp", "pkg/gcp/balancer", "pkg/gcp/planner", "pkg/gcp/traffic"},
	"pkg/plan":                   {"internal/fields", "internal/markdown", "pkg/federation"},
	"pkg/forges":                 {"internal/secret", "pkg/status", "pkg/status/*"},
	"pkg/status":                 {"internal/markdown", "pkg/failure", "pkg/federation"},
	"pkg/status/post":            {"pkg/federation", "pkg/status"},
	"pkg/status/contexts":        {"internal/glob", "pkg/federation", "pkg/federation/fedfile"},
	"pkg/status/history":         {"pkg/federation", "pkg/status"},
	"pkg/roll":                   {"pkg/federation"},
	"pkg/identity":               {"pkg/apply/inventory", "pkg/source"},
	"pkg/preview":                {"internal/secret", "pkg/apply", "pkg/config", "pkg/federation", "pkg/render", "pkg/schedule", "pkg/source", "pkg/source/worktree", "pkg/status", "pkg/status/contexts", "pkg/wire", "pkg/federation/fedfile"},
	"pkg/handover":               {"internal/secret", "pkg/apply/inventory", "pkg/config", "pkg/federation", "pkg/identity", "pkg/member", "pkg/preview", "pkg/source", "pkg/takeover", "pkg/wire"},
	"pkg/doctor":                 {"internal/secret", "pkg/access", "pkg/claim", "pkg/config", "pkg/federation", "pkg/handover", "pkg/preview", "pkg/render", "pkg/source", "pkg/source/gitdir", "pkg/status", "pkg/wire"},
	"pkg/proposal":               {"pkg/apply", "pkg/config", "pkg/federation", "pkg/gcp", "pkg/gcp/keeper", "pkg/plan", "pkg/preview", "pkg/render", "pkg/schedule", "pkg/wire"},
	"pkg/review/reviewer":        {"internal/bell", "internal/secret", "pkg/apply", "pkg/config", "pkg/federation", "pkg/gcp/keeper", "pkg/identity", "pkg/member", "pkg/plan", "pkg/proposal", "pkg/render/worker", "pkg/review", "pkg/source", "pkg/source/objectdb", "pkg/status", "pkg/status/contexts", "pkg/wire"},
	"pkg/wire":                   {"internal/secret", "pkg/*"},
	"pkg/review":                 {"internal/markdown", "pkg/federation", "pkg/plan", "pkg/status"},
	"pkg/status/statustest":      {"internal/badforge", "internal/canary", "pkg/federation", "pkg/status", "pkg/status/post"},
	"pkg/status/gitea":           {"pkg/federation", "pkg/status", "pkg/status/forgeclient"},
	"pkg/status/github":          {"pkg/status", "pkg/status/forgeclient"},
	"pkg/status/forgeclient":     {"internal/secret", "pkg/bounds", "pkg/status"},
	"pkg/status/gitnotes":        {"internal/multiack", "internal/secret", "internal/untrusted", "pkg/bounds", "pkg/federation", "pkg/status", "internal/gitssh"},
	"pkg/metrics":                {"pkg/federation", "pkg/status", "pkg/status/post"},
	"pkg/web":                    {"internal/untrusted", "pkg/federation", "pkg/status", "pkg/web/page"},
	"pkg/web/gate":               {},
	"pkg/web/page":               {"internal/untrusted", "pkg/federation", "pkg/status"},
	"pkg/config":                 {"internal/glob", "internal/secret", "pkg/*"},
	"pkg/daemon":                 {"internal/secret", "internal/untrusted", "internal/bell", "internal/glob", "pkg/*"},
	"internal/bell":              {},
	"internal/canary":            {},
	"internal/findingspage":      {"pkg/federation"},
	"internal/fields":            {},
	"internal/glob":              {},
	"internal/secret":            {},
	"internal/sleep":             {},
	"internal/gitssh":            {},
	"internal/markdown":          {},
	"internal/limit":             {},
	"internal/live":              {"pkg/federation"},
	"internal/membertest":        {"internal/lab", "pkg/bounds"},
	"internal/raced":             {},
	"internal/strictyaml":        {},
	"internal/lab":               {"internal/lab/faults", "pkg/federation", "pkg/gcp/gcetest", "pkg/status"},
	"internal/lab/faults":        {},
	"internal/objectstore":       {},
	"internal/badforge":          {"internal/canary"},
	"internal/badmember":         {"internal/canary", "internal/objectstore"},
	"internal/history":           {"internal/objectstore"},
	"internal/hostile":           {},
	"internal/testrun":           {"internal/lab"},
	"internal/untrusted":         {"internal/secret"},
	"internal/demo":              {"internal/lab", "pkg/status"},
	"internal/bench":             {"internal/lab", "pkg/*"},
	"internal/growth":            {},
	"internal/multiack":          {},

	"pkg/render/kustomize/shortcut":      {"pkg/federation", "pkg/render/manifest", "internal/strictyaml"},
	"pkg/status/forgetest":               {},
	"pkg/status/github/githubtest":       {},
	"pkg/takeover":                       {"pkg/apply/inventory", "pkg/bounds", "pkg/claim", "pkg/failure", "pkg/federation"},
	"pkg/status/azure":                   {"pkg/status", "pkg/status/forgeclient"},
	"pkg/status/azure/azuretest":         {"pkg/status/forgetest"},
	"pkg/status/bitbucket":               {"pkg/status", "pkg/status/forgeclient"},
	"pkg/status/bitbucket/bitbuckettest": {"pkg/status/forgetest"},
	"pkg/status/gitlab":                  {"pkg/status", "pkg/status/forgeclient"},
	"pkg/status/gitlab/gitlabtest":       {"pkg/status/forgetest"},
}

func TestPackagesImportOnlyWhatTheDrawingShows(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var seen int
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is not in the drawing", name)
			continue
		}
		for _, i := range p.Imports {
			i, ours := strings.CutPrefix(i, module)
			// The packages for limits, cleaning of texts and pauses serve all others and import
			// none.
			if !ours || i == "internal/limit" || i == "internal/untrusted" || i == "internal/sleep" || slices.Contains(allowed, i) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool {
				prefix, open := strings.CutSuffix(a, "*")
				return open && strings.HasPrefix(i, prefix)
			}) {
				t.Errorf("%s imports %s; allowed: %v", name, i, allowed)
			}
		}
	}
	if seen < len(mayImport)/2 {
		t.Errorf("go list names %d packages, which is too few", seen)
	}
}

// The functions that docs/architecture.md names on the way of one object exist.
func TestTheWayOfOneObjectIsAsWritten(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("(?m)^[0-9]+\\. `(pkg/[a-z/]+)` `([A-Za-z.]+)`").FindAllStringSubmatch(string(page), -1)
	if n := len(steps); n < 10 || n > 20 {
		t.Errorf("the way has %d steps, want at most 20", n)
	}
	for _, step := range steps {
		declared := "func " + step[2] + "("
		if receiver, method, isMethod := strings.Cut(step[2], "."); isMethod {
			declared = " *" + receiver + ") " + method + "("
		}
		files, err := filepath.Glob("../../" + step[1] + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			content, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(content), declared)
		}) {
			t.Errorf("%s has no %s", step[1], step[2])
		}
	}
}
