package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fedsync/fedsync/pkg/render/worker"
)

var update = flag.Bool("update", false, "rewrite what the scripts and docs/reference expect")

func TestMain(m *testing.M) {
	worker.Serve()
	testscript.Main(m, map[string]func(){"fedsync": main})
}

// TestScripts runs the program as its users do. The scripts list what it promises at the
// command line. Script commands in addition to testscript's own are described in
// commands_test.go and cluster_test.go.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup:               setUp,
		Cmds:                commands(),
	})
}

// setUp isolates a script from the user's own settings.
func setUp(e *testscript.Env) error {
	e.Values[tbKey{}] = e.T()
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"HOME":            filepath.Join(e.WorkDir, ".home"),
		"XDG_CACHE_HOME":  filepath.Join(e.WorkDir, ".cache"),
		"XDG_CONFIG_HOME": filepath.Join(e.WorkDir, ".config"),
		"KUBECONFIG":      filepath.Join(e.WorkDir, ".kube", "config"),
		"REPO":            filepath.Join(e.WorkDir, "repo.git"),
		"EXAMPLES":        examples,

		"GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME":     "Ada",
		"GIT_AUTHOR_EMAIL":    "ada@example.com",
		"GIT_COMMITTER_NAME":  "Ada",
		"GIT_COMMITTER_EMAIL": "ada@example.com",
	} {
		e.Setenv(name, value)
	}
	return os.MkdirAll(filepath.Join(e.WorkDir, ".home"), 0o755)
}

// tbKey is the key of a script's testing.TB.
type tbKey struct{}

func tb(ts *testscript.TestScript) testing.TB {
	return ts.Value(tbKey{}).(testing.TB)
}
