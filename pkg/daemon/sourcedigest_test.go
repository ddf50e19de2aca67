package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/source"
)

// formerDigest returns the digest of versions that did not make paths absolute.
func formerDigest(repository, ref, federation string) string {
	sum := sha256.Sum256([]byte(repository + "\x00" + ref + "\x00" + federation))
	return hex.EncodeToString(sum[:16])
}

func openSource(t *testing.T, repository string) *source.Source {
	t.Helper()
	s, err := source.Open(source.Options{URL: repository}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestALocalPathIsOneSourceHoweverItIsSpelled(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repository := filepath.Join(folder, "web")
	if err := os.MkdirAll(filepath.Join(repository, "apps"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := formerDigest(repository, "main", "shop")
	for dir, spellings := range map[string][]string{
		repository: {".", "./", "apps/..", repository, repository + "/", repository + "//", repository + "/.", "file://" + repository},
		folder:     {"web", "./web", "web/", "./web/", repository},
	} {
		t.Chdir(dir)
		for _, typed := range spellings {
			current, former := identity.Of(openSource(t, typed), "main", "shop")
			if current != want {
				t.Errorf("in %s: the digest of %s is not that of the absolute path", dir, typed)
			}
			if slices.Contains(former, current) {
				t.Errorf("in %s: the former digests of %s contain the current one", dir, typed)
			}
			if earlier := formerDigest(typed, "main", "shop"); earlier != want && typed != "file://"+repository && !slices.Contains(former, earlier) {
				t.Errorf("in %s: the digest of an earlier version for %s is not accepted", dir, typed)
			}
		}
	}
	t.Chdir(repository)
	if _, former := identity.Of(openSource(t, repository), "main", "shop"); !slices.Contains(former, formerDigest(".", "main", "shop")) {
		t.Error("the path was . and is now absolute: the digest of an earlier version is not accepted")
	}
}

func TestALinkIsAnotherSourceThanWhereItLeads(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "release-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "current")
	if err := os.Symlink("release-1", link); err != nil {
		t.Fatal(err)
	}
	before, _ := identity.Of(openSource(t, link), "", "shop")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("release-2", link); err != nil {
		t.Fatal(err)
	}
	if after, _ := identity.Of(openSource(t, link), "", "shop"); after != before {
		t.Error("the source changes with the release that its link points to")
	}
}

func TestARemoteSourceKeepsItsDigest(t *testing.T) {
	current, former := identity.Of(openSource(t, "https://git.example/shop/web.git"), "main", "shop")
	if current != formerDigest("https://git.example/shop/web.git", "main", "shop") || len(former) > 0 {
		t.Errorf("digests %s and %v, want that of earlier versions alone", current, former)
	}
}

func TestAnUpgradeFindsWhatTheEarlierVersionKept(t *testing.T) {
	repository := t.TempDir()
	t.Chdir(repository)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir, err := config.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	earlier := formerDigest(".", "main", "")
	const told = `{"sha":"1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d","contexts":["fedsync/web"]}`
	if err := os.WriteFile(filepath.Join(dir, "told-"+formerDigest(earlier, "mine", "")+".json"), []byte(told), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{"asia": "gce-asia", "europe": "gce-europe"}
	if err := (roll.Roster{Federation: "shop", Clusters: kept}).Keep(roll.RosterFile(dir, earlier)); err != nil {
		t.Fatal(err)
	}

	for _, typed := range []string{".", repository} { // the upgrade, and a later start
		d := &Daemon{cfg: &config.Config{Repository: typed, Revision: "main", Instance: "mine"}, source: openSource(t, typed)}
		if err := d.takeName(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(d.outboxFile); err != nil || string(got) != told {
			t.Errorf("--repo %s: the stored value is %q, %v, want %q", typed, got, err, told)
		}
		if !maps.Equal(d.roster.Clusters, kept) {
			t.Errorf("--repo %s: clusters = %v, want %v", typed, d.roster.Clusters, kept)
		}
	}
}

func TestAFolderIsASourceOfItsOwn(t *testing.T) {
	const repository = "https://git.example/shop/web.git"
	digests := map[string]string{}
	for _, folder := range []string{"", "fleet/prod", "fleet/staging", "./fleet/prod/"} {
		src, err := source.Open(source.Options{URL: repository, Path: folder}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		digests[folder], _ = identity.Of(src, "main", "shop")
	}
	if digests[""] != formerDigest(repository, "main", "shop") {
		t.Error("without a folder the digest differs from that of earlier versions")
	}
	if digests["fleet/prod"] == digests[""] || digests["fleet/prod"] == digests["fleet/staging"] || digests["fleet/prod"] != digests["./fleet/prod/"] {
		t.Errorf("digests by folder = %v, want one for each folder, however it is written", digests)
	}
}
