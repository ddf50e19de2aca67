package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

// The demo adds a Compute Engine project to an example that has none.
func TestAProjectGivesTheExampleALoadBalancer(t *testing.T) {
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS("../../examples/echo")); err != nil {
		t.Fatal(err)
	}
	c := cloud{GCPDescription: &lab.GCPDescription{Project: "fedsync-sandbox"}}
	if err := c.declare(work); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(work, federation.FileName))
	if err != nil {
		t.Fatal(err)
	}
	f, err := fedfile.Parse("", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if !f.Balances() || f.GCP.Project != c.Project || len(f.Clusters) != 3 || len(f.Apps) == 0 {
		t.Errorf("the file has project %+v, %d clusters and %d apps, want %s, 3 and some\n%s",
			f.GCP, len(f.Clusters), len(f.Apps), c.Project, data)
	}
}

func TestAnswersAreCountedByCluster(t *testing.T) {
	a := answers{by: map[string]int{"b": 2, "a": 1}, failed: 3}
	if got, want := a.String(), "a 1, b 2, failed 3"; got != want {
		t.Errorf("answers are %q, want %q", got, want)
	}
}
