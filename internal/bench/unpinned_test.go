package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestFirstCandidateIsTheOneOfTheDecisionOnTheHash(t *testing.T) {
	// A test of pkg/schedule has the same values.
	if got := firstCandidate("nginx"); got != 30084 {
		t.Errorf("default/nginx/80/TCP begins at %d, want 30084", got)
	}
}

func TestUnpinnedServiceHasNoNodePort(t *testing.T) {
	var u unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(unpinnedService("web")), &u.Object); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(unpinnedService("web"), "nodePort") || u.GetName() != "web" {
		t.Errorf("got\n%s\nwant a Service web without nodePort", unpinnedService("web"))
	}
}

func TestFilesWithoutContentAreRemoved(t *testing.T) {
	repo, err := newRepository(t.Context(), t.TempDir(), map[string]string{"a.yaml": "a", "b.yaml": "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.close()
	if _, err := repo.commit(t.Context(), map[string]string{"a.yaml": ""}, "Remove"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(repo.work, "a.yaml")); !os.IsNotExist(err) {
		t.Errorf("a.yaml: %v, want it gone", err)
	}
}
