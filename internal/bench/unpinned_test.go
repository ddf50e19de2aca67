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
	// pkg/schedule's test holds the same.
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

func TestOnePortIsThatOfEveryCluster(t *testing.T) {
	l := &lab{clusters: []*member{{name: "a"}, {name: "b"}}}
	for want, ports := range map[int64]map[string]int64{
		30001: {"a": 30001, "b": 30001},
		0:     {"a": 30001},
	} {
		if got := l.onePort(ports); got != want {
			t.Errorf("one port of %v = %d, want %d", ports, got, want)
		}
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

func TestFailedProbesAreCountedFromAnOffsetAndByCluster(t *testing.T) {
	const old = `{"msg":"probe failed","cluster":"a"}` + "\n"
	file := filepath.Join(t.TempDir(), "log")
	text := old + old + `{"msg":"probe failed","cluster":"b"}` + "\n" + `{"msg":"object applied","cluster":"a"}` + "\nnot JSON\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{logFile: file}
	if n, err := d.failedProbes("a", int64(len(old))); n != 1 || err != nil {
		t.Errorf("%d probes (%v), want 1", n, err)
	}
}
