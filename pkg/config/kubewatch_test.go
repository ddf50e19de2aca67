package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// watched is a watched kubeconfig that names a token file.
type watched struct {
	*Kubeconfig

	t       *testing.T
	dir     string // of the kubeconfig
	changes atomic.Int32
	logged  *observer.ObservedLogs
}

// oneCluster is a kubeconfig of cluster a; %q is the file of its token.
const oneCluster = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {tokenFile: %q}}]
`

func watchKubeconfig(t *testing.T, tokenFile string) *watched {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	w := &watched{t: t, dir: t.TempDir(), logged: logged}
	file := filepath.Join(w.dir, "kubeconfig")
	write(t, file, fmt.Sprintf(oneCluster, tokenFile))
	var err error
	if w.Kubeconfig, err = NewKubeconfig(&Config{Kubeconfig: file}, zap.New(core)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Watch(ctx, func() { w.changes.Add(1) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// awaitToken calls step and waits until the connection has the token that step
// returns; "" for none.
func (w *watched) awaitToken(step func() string) {
	w.t.Helper()
	before := w.changes.Load() // changed may be called before step returns
	want := step()
	deadline := time.Now().Add(10 * time.Second)
	for again := range time.Tick(10 * time.Millisecond) {
		got := ""
		c, err := w.Connection("a")
		if err == nil {
			got = c.REST.BearerToken
		}
		if got == want && w.changes.Load() != before {
			return
		}
		if again.After(deadline) {
			w.t.Fatalf("the token is %q, want %q: %v; changed was called: %v", got, want, err, w.changes.Load() != before)
		}
	}
}

func TestCredentialFilesThatAppearOrChangeLaterAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, dir, file string) []func() string // each returns the token to await
	}{
		{"a file that is not there", func(t *testing.T, _, file string) []func() string {
			mkdir(t, filepath.Dir(file))
			return []func() string{
				func() string { write(t, file, "one"); return "one" },
				func() string { write(t, file, "two\n"); return "two" },
			}
		}},
		{"a folder that is not there", func(t *testing.T, dir, file string) []func() string {
			return []func() string{
				func() string { mkdir(t, filepath.Dir(file)); write(t, file, "one"); return "one" },
				func() string { write(t, file, "two"); return "two" },
				func() string {
					if err := os.RemoveAll(filepath.Join(dir, "run")); err != nil {
						t.Fatal(err)
					}
					return ""
				},
				func() string { mkdir(t, filepath.Dir(file)); write(t, file, "three"); return "three" },
			}
		}},
		{"a file that is replaced", func(t *testing.T, _, file string) []func() string {
			mkdir(t, filepath.Dir(file))
			replace := func(text string) func() string {
				return func() string {
					write(t, file+".tmp", text)
					if err := os.Rename(file+".tmp", file); err != nil {
						t.Fatal(err)
					}
					return text
				}
			}
			return []func() string{replace("one"), replace("two"), replace("three")}
		}},
		{"a Secret that Kubernetes mounts", func(t *testing.T, _, file string) []func() string {
			mount := mkdir(t, filepath.Dir(file))
			swap := func(text string) func() string {
				return func() string {
					at := ".." + text
					write(t, filepath.Join(mkdir(t, filepath.Join(mount, at)), "token"), text)
					link(t, at, filepath.Join(mount, "..data"))
					if _, err := os.Lstat(file); err != nil {
						link(t, filepath.Join("..data", "token"), file)
					}
					return text
				}
			}
			return []func() string{swap("one"), swap("two"), swap("three")}
		}},
		{"a folder that is another's link", func(t *testing.T, dir, file string) []func() string {
			swap := func(text string) func() string {
				return func() string {
					deep, err := filepath.Rel(filepath.Join(dir, "run"), file)
					if err != nil {
						t.Fatal(err)
					}
					other := filepath.Join(dir, text)
					mkdir(t, filepath.Dir(filepath.Join(other, deep)))
					write(t, filepath.Join(other, deep), text)
					link(t, other, filepath.Join(dir, "run"))
					return text
				}
			}
			return []func() string{swap("one"), swap("two")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "run", "secrets", "token")
			w := watchKubeconfig(t, file)
			_, err := w.Connection("a")
			if err == nil || !strings.Contains(err.Error(), "token file "+file) || strings.Contains(err.Error(), "not in kubeconfig") {
				t.Errorf("Connection = %v, want an error that names the file", err)
			}
			for _, step := range c.steps(t, dir, file) {
				w.awaitToken(step)
			}
		})
	}
}

func TestOtherFilesInTheSameFoldersChangeNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	write(t, file, "one")
	w := watchKubeconfig(t, file)
	digest := func() string {
		c, err := w.Connection("a")
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	before := digest()
	for i := range 40 {
		write(t, filepath.Join(w.dir, "log"), strings.Repeat("a line\n", i))
		write(t, filepath.Join(dir, "log"), strings.Repeat("a line\n", i))
		write(t, file+".new", "one") // replaced by an equal file
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	<-time.After(3 * settleTime)
	if n := w.changes.Load(); n != 0 || w.logged.Len() > 0 || digest() != before {
		t.Errorf("%d changes and the log lines %v, want none", n, w.logged.All())
	}
	w.awaitToken(func() string { write(t, file, "two"); return "two" })
	if digest() == before {
		t.Error("another token has the digest of the previous one")
	}
}

func TestABrokenKubeconfigIsLoggedOnce(t *testing.T) {
	w := watchKubeconfig(t, filepath.Join(t.TempDir(), "token"))
	file := filepath.Join(w.dir, "kubeconfig")
	for range 10 {
		write(t, file+".new", "clusters: {")
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * settleTime)
	}
	if n := w.changes.Load(); n != 1 || w.logged.Len() != 1 {
		t.Errorf("%d changes and %d log lines, want one of each: %v", n, w.logged.Len(), w.logged.All())
	}
}

// A full disk leaves an empty file.
func TestAnEmptiedKubeconfigLeavesThePreviousOneInUse(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "one")
	w := watchKubeconfig(t, token)
	write(t, filepath.Join(w.dir, "kubeconfig"), "")
	w.load() // unless the watch has done it already
	if w.Err() == nil || !strings.Contains(w.Err().Error(), "kubeconfig is empty") {
		t.Errorf("the error is %v, want one for an empty kubeconfig", w.Err())
	}
	if _, err := w.Connection("a"); err != nil {
		t.Errorf("the connection to cluster a is lost: %v", err)
	}
}

// Truncated and written in place, as editors do, the file is empty for a moment.
func TestAKubeconfigIsNeverReadHalfWritten(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "one")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf(oneCluster, token)
	write(t, file, content)
	k, err := NewKubeconfig(&Config{Kubeconfig: file}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			// A different length each time, since file times are coarse.
			if err := os.WriteFile(file, []byte(content+strings.Repeat("#", i%1000)), 0o600); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 3000 {
		k.load()
		if _, err := k.Connection("a"); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFilesThatCannotBeReadAreNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	for name, f := range map[string]func(string) error{
		"it is empty":              func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"it is not a regular file": func(file string) error { return os.Mkdir(file, 0o700) },
		"it has more than":         func(file string) error { return os.Truncate(touch(t, file), maxCredentialFile+1) },
		"no such file or direct":   func(string) error { return nil },
	} {
		file := filepath.Join(dir, name)
		if err := f(file); err != nil {
			t.Fatal(err)
		}
		if _, err := readFile(file, maxCredentialFile); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("readFile = %v, want %q", err, name)
		}
	}
}

func touch(t *testing.T, file string) string {
	t.Helper()
	write(t, file, "")
	return file
}
