package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestSecretsAreFoundWhereverTheyStand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := NewConfig()
	cfg.Repository = "https://ada:in-the-url@forge.example/web.git"
	cfg.TokenFile = write("token", "in-a-token-file\n")
	cfg.SSHKeyFile = write("key", "-----BEGIN OPENSSH PRIVATE KEY-----\nline-of-a-key\n-----END OPENSSH PRIVATE KEY-----\n")
	cfg.Kubeconfig = write("kubeconfig", `apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: 'https://a', proxy-url: 'http://u:of-a-proxy@proxy.example'}}
users:
- {name: a, user: {token: of-a-user}}
- {name: b, user: {username: u, password: word-of-a-user}}
- {name: c, user: {tokenFile: `+write("c", "in-a-file-of-the-kubeconfig")+`}}
- {name: d, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never, env: [{name: K, value: of-a-plugin}]}}}
`)
	secret, err := federation.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": "web"},
		"data": map[string]any{"k": "aW4tZGF0YQ=="}, "stringData": map[string]any{"k": "in-string-data"},
	}, "secret.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan := federation.Plan{Clusters: []federation.ClusterPlan{{Apps: []federation.AppPlan{{Objects: []*federation.Object{secret}}}}}}
	got := Secrets(cfg, plan)
	for _, want := range []string{
		"in-the-url", "in-a-token-file", "line-of-a-key", "of-a-proxy", "of-a-user", "word-of-a-user",
		"in-a-file-of-the-kubeconfig", "of-a-plugin", "in-data", "aW4tZGF0YQ==", "in-string-data",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}

	cfg.Kubeconfig = write("garbled", "users: [{name: a, user: {token: [in-what-is-no-kubeconfig]}}]\n")
	if got := Secrets(cfg, federation.Plan{}); !slices.Contains(got, "in-what-is-no-kubeconfig") {
		t.Errorf("the token of a kubeconfig that cannot be read is missing in %q", got)
	}
}
