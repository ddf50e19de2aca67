package gcetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// discovery is the part of the discovery document about methods that the test compares.
type discovery struct {
	Resources map[string]struct {
		Methods map[string]struct {
			HTTPMethod string `json:"httpMethod"`
			Path       string
			Request    struct {
				Ref string `json:"$ref"`
			}
			Parameters map[string]struct{ Location string }
		}
	}
}

func TestEveryMethodIsAsInTheDiscoveryDocument(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "compute", "v1", "compute-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var api discovery
	if err := json.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{[^}]*\}`)
	seen := 0
	for _, c := range collections() {
		for _, m := range c.methods {
			seen++
			service, name, _ := strings.Cut(m.name, ".")
			want, ok := api.Resources[service].Methods[name]
			if !ok {
				t.Errorf("%s is not in the document", m.name)
				continue
			}
			if m.verb != want.HTTPMethod || parameter.ReplaceAllString(m.path, "{}") != parameter.ReplaceAllString(want.Path, "{}") {
				t.Errorf("%s: %s %s, want %s %s", m.name, m.verb, m.path, want.HTTPMethod, want.Path)
			}
			body := ""
			if m.body != nil {
				body = m.body.Name()
			}
			if body != want.Request.Ref {
				t.Errorf("%s takes %s, want %s", m.name, body, want.Request.Ref)
			}
			for _, name := range m.query {
				if want.Parameters[name].Location != "query" {
					t.Errorf("%s has no parameter %s", m.name, name)
				}
			}
			// Only views of a subnetwork's utilization are not supported.
			for name, p := range want.Parameters {
				if p.Location == "query" && name != "views" && !strings.Contains(strings.Join(m.query, " "), name) {
					t.Errorf("%s lacks the parameter %s", m.name, name)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d methods", seen)
	}
}
