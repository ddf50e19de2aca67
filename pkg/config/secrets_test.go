package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestSecretsAreFoundWhereverTheyAre(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := New()
	cfg.Repository = "https://ada:in-the-url@forge.example/web.git"
	cfg.TokenFile = write("token", "in-a-token-file\n")
	cfg.SSHKeyFile = write("key", "-----BEGIN OPENSSH PRIVATE KEY-----\nline-of-a-key\n-----END OPENSSH PRIVATE KEY-----\n")
	cfg.Kubeconfig = write("kubeconfig", `apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: 'https://a', proxy-url: 'http://u:of-a-proxy@proxy.example'}}
users:
- {name: a, user: {token: of-a-user}}
- {name: b, user: {username: u, password: 'kube word-of-a-user'}}
- {name: c, user: {tokenFile: `+write("c", "in-a-file-of-the-kubeconfig")+`}}
- {name: d, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never, args: [login, --token=of-an-argument, --client-secret, of-the-next, --region, asia], env: [{name: K, value: of-a-plugin}]}}}
`)
	secret, err := federation.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": "web"},
		"data": map[string]any{"k": "aW4tZGF0YQ==", "n": int64(7)}, "stringData": map[string]any{"k": "in-string-data"},
	}, "secret.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan := federation.Plan{Clusters: []federation.ClusterPlan{{Apps: []federation.AppPlan{{Objects: []*federation.Object{secret}}}}}}
	got := Secrets(cfg, plan, nil)
	for _, want := range []string{
		"in-the-url", "in-a-token-file", "line-of-a-key", "of-a-proxy", "of-a-user", "kube word-of-a-user",
		"in-a-file-of-the-kubeconfig", "of-a-plugin", "of-an-argument", "of-the-next", "in-data", "aW4tZGF0YQ==", "in-string-data",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}

	for _, not := range []string{"kube", "login", "asia"} {
		if slices.Contains(got, not) {
			t.Errorf("%q is treated as a secret", not)
		}
	}

	cfg.Kubeconfig = write("garbled", "users: [{name: a, user: {token: [in-what-is-no-kubeconfig], password: \"kube pass22\"}}]\n")
	if got := Secrets(cfg, federation.Plan{}, nil); !slices.Contains(got, "kube pass22") || slices.Contains(got, "kube") {
		t.Errorf("a quoted password is not taken as a whole: %q", got)
	}
	if got := Secrets(cfg, federation.Plan{}, nil); !slices.Contains(got, "in-what-is-no-kubeconfig") {
		t.Errorf("the token of a kubeconfig that cannot be read is missing in %q", got)
	}
}

func TestSecretsOfAnAddressAreItsPasswordOrToken(t *testing.T) {
	for address, want := range map[string][]string{
		"https://ada:p%40ss@forge.example/web.git":              {"p%40ss", "p@ss"},
		"https://ghp_token@forge.example/web.git":               {"ghp_token"},
		"https://ghp_token:x-oauth-basic@forge.example/web.git": {"ghp_token"},
		"ssh://gitea@forge.example/web.git":                     nil,
		"https://forge.example/web.git":                         nil,
	} {
		var got secretTexts
		got.url(address)
		for _, secret := range want {
			if !slices.Contains(got, secret) {
				t.Errorf("%s: %q is missing in %q", address, secret, got)
			}
		}
		if slices.Contains(got, "ada") || len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: %q are taken, want %q", address, got, want)
		}
	}
}

func TestSecretsOfFilesThatCannotBeRendered(t *testing.T) {
	files := fstest.MapFS{
		"x/s.yaml":             {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: in-no-secret}\n---\nkind: Secret\ndata: {a: aW4tZGF0YQ==, b: !in-a-tag x}\nstringData: {n: 12345}\n")},
		"x/list.yaml":          {Data: []byte("kind: List\nitems: [{kind: Secret, stringData: {a: in-a-list}}]\n")},
		"x/kustomization.yaml": {Data: []byte("secretGenerator:\n- {name: a, literals: [k=in-a-literal, without-a-key], envs: [e.env], files: [f=file]}\npatches:\n- patch: |\n    kind: Secret\n    stringData: {a: in-a-patch}\n")},
		"x/e.env":              {Data: []byte("K=in-an-environment\n")},
		"x/file":               {Data: []byte("in-a-file\n")},
		"x/no.yaml":            {Data: []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: of-the-secret\nstringData:\n  a: *in-no-yaml\n  b: 'x\n")},
		"y.yaml":               {Data: []byte("kind: Deployment\nmetadata: [\n")},
	}
	got := Secrets(New(), federation.Plan{}, files)
	for _, want := range []string{
		"in-data", "in-a-tag", "12345", "in-a-list", "in-a-literal", "without-a-key", "in-an-environment", "in-a-file", "in-a-patch", "*in-no-yaml",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	for _, not := range []string{"in-no-secret", "Secret", "Deployment", "of-the-secret"} {
		if slices.Contains(got, not) {
			t.Errorf("%q is treated as a secret", not)
		}
	}
}
