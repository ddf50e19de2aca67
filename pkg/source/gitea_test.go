package source_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestARepositoryOnARealForgeIsFollowed(t *testing.T) {
	forge := lab.Shared(t).Forge(t).NewRepository(t)
	repo := sourcetest.New(t)
	repo.InWork("remote", "set-url", "origin", forge.PushURL())
	token := file(t, forge.Token)
	f := follow(t, source.Options{URL: forge.CloneURL, TokenFile: token, Interval: time.Hour})
	if err := f.failure(); !errors.Is(err, source.ErrEmpty) {
		t.Fatalf("error = %v, want ErrEmpty", err)
	}

	first := repo.Push("first", map[string]string{"apps/web/a.yaml": "one", "apps/web/b.yaml": strings.Repeat("line\n", 500)})
	f.Nudge()
	one := f.wantRevision(first)
	wantFile(t, one.Files, "apps/web/a.yaml", "one")

	second := repo.Push("second", map[string]string{"apps/web/a.yaml": "two", "apps/web/b.yaml": strings.Repeat("line\n", 499)})
	f.Nudge()
	two := f.wantRevision(second)
	if two.Forced {
		t.Error("a commit on top is Forced")
	}
	wantFile(t, two.Files, "apps/web/a.yaml", "two")
	wantFile(t, two.Files, "apps/web/b.yaml", strings.Repeat("line\n", 499))

	for range 20 {
		repo.Commit("one of twenty", nil)
	}
	repo.PushTo("main")
	f.Nudge()
	if s := f.wantRevision(repo.Head()); s.Forced {
		t.Error("twenty commits on top are Forced")
	}

	repo.InWork("reset", "--quiet", "--hard", first)
	forced := repo.Push("forced", map[string]string{"apps/web/a.yaml": "three"})
	f.Nudge()
	if s := f.wantRevision(forced); !s.Forced {
		t.Error("a forced push is not Forced")
	}

	got, err := open(t, source.Options{URL: forge.CloneURL, TokenFile: token}).Snapshot(t.Context(), first)
	if err != nil || got.Revision.SHA != first {
		t.Errorf("Snapshot(%s) = %v, %v, want it", first, got.Revision, err)
	}
	wrong := open(t, source.Options{URL: forge.CloneURL, TokenFile: file(t, "0000000000000000000000000000000000000000")})
	if _, err := wrong.Snapshot(t.Context(), ""); !errors.Is(err, source.ErrUnauthorised) {
		t.Errorf("Snapshot with a wrong token = %v, want ErrUnauthorised", err)
	}
}
