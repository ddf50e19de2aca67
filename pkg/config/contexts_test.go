package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

const twoContexts = `apiVersion: v1
kind: Config
clusters:
- name: east
  cluster: {server: "https://east.example:6443"}
- name: west
  cluster: {server: "https://west.example:6443"}
contexts:
- name: team/east
  context: {cluster: east, user: a}
- name: admin
  context: {cluster: west, user: a}
users:
- name: a
  user: {token: secret}
`

func TestARepositoryNamesNoContextThatTheOperatorDoesNotAllow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clusters.kubeconfig")
	if err := os.WriteFile(file, []byte(twoContexts), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(contexts ...string) *Kubeconfig {
		k, err := NewKubeconfig(&Config{Kubeconfig: file, Contexts: contexts}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		return k
	}
	all, some := open(), open("team/*")
	for _, name := range []string{"team/east", "admin"} {
		if _, err := all.Connection(name); err != nil {
			t.Errorf("without the setting: %v, want a connection", err)
		}
	}
	if _, err := some.Connection("team/east"); err != nil {
		t.Errorf("Connection of an allowed context: %v", err)
	}

	// An existing context and a missing one are refused with the same message, which
	// reveals nothing about the kubeconfig.
	refusal := func(name string) string {
		_, err := some.Connection(name)
		if err == nil {
			t.Fatalf("Connection(%q): no error, want a refusal", name)
		}
		return strings.ReplaceAll(err.Error(), name, "NAME")
	}
	there, missing := refusal("admin"), refusal("nowhere")
	if there != missing {
		t.Errorf("an existing context: %q, a missing one: %q; want the same", there, missing)
	}
	if !strings.Contains(there, "--contexts") || strings.Contains(there, "team") || strings.Contains(there, file) {
		t.Errorf("refusal %q, want the setting's name, and no pattern, context or path", there)
	}

	servers := some.Servers([]federation.Cluster{{Name: "a", Context: "admin"}, {Name: "b", Context: "team/east"}})
	if _, known := servers["a"]; known || servers["b"] == "" {
		t.Errorf("servers %v, want none of the refused context: two of one server are a finding", servers)
	}
}
