package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestPasswordOfAProxyStaysOutOfErrors(t *testing.T) {
	const password = "pa/ss@wo:rd"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(`apiVersion: v1
kind: Config
clusters:
- name: a
  cluster: {server: "https://127.0.0.1:1", proxy-url: "socks4://user:`+password+`@proxy.example:1080"}
contexts:
- name: a
  context: {cluster: a, user: a}
users:
- name: a
  user: {token: secret}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := NewKubeconfig(&Config{Kubeconfig: file}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Connection("a")
	if err == nil || !strings.Contains(err.Error(), "proxy-url") {
		t.Fatalf("Connection = %v, want an error about proxy-url", err)
	}
	for part := range strings.FieldsFuncSeq(password, func(r rune) bool { return strings.ContainsRune("/@:", r) }) {
		if strings.Contains(err.Error(), part+"@") || strings.Contains(err.Error(), part+"/") || strings.Contains(err.Error(), ":"+part) {
			t.Errorf("the error holds part of the password: %v", err)
		}
	}
}
