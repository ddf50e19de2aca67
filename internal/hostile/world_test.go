package hostile_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/fedsync/fedsync/internal/hostile"
)

// A world has what repositories try to reach, and records whether they did.
type world struct {
	hostile.World

	canary      string   // the content of the secret file
	environment []string // of the program
	ran         string   // the file that the forbidden program creates when it runs
	calls       atomic.Int64
}

// newWorld returns a world for one case.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{canary: "CANARY-" + filepath.Base(dir) + "-CANARY", ran: filepath.Join(dir, "ran")}
	w.Secret = filepath.Join(dir, "secret.yaml")
	write(t, w.Secret, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+hostile.Marker+"-secret}\ndata: {k: "+w.canary+"}\n", 0o644)
	w.Program = filepath.Join(dir, "program")
	script := "#!/bin/sh\n: >> " + w.ran + "\n"
	write(t, w.Program, script, 0o755)
	bin := filepath.Join(dir, "bin")
	for _, name := range []string{"git", "helm", "helmV3", "sh", "bash", "kustomize", "kubectl", "docker", "go", "ssh", "hg", "curl"} {
		write(t, filepath.Join(bin, name), script, 0o755)
	}
	home := filepath.Join(dir, "home")
	write(t, filepath.Join(home, ".config", "kustomize", "plugin", "example.com", "v1", "any", "Any"), script, 0o755)
	w.environment = []string{"PATH=" + bin, "HOME=" + home, "TMPDIR=" + dir, "CANARY=" + w.canary}
	w.listen(t)
	return w
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// listen counts the callers. It does not answer, so a caller would hang.
func (w *world) listen(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.Address = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				w.calls.Add(1)
				defer func() { _ = conn.Close() }()
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
}

// never returns what no output of a case may contain.
func (w *world) never(c hostile.Case) [][]byte {
	never := [][]byte{[]byte(w.canary)}
	for _, text := range c.Want.Never {
		never = append(never, []byte(text))
	}
	if c.Want.All {
		never = append(never, fmt.Appendf(nil, "name: %s", hostile.Marker))
	}
	return never
}
