package gitnotes

import (
	"errors"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestNotesArePushedToARealForge(t *testing.T) {
	forge := lab.Shared(t).Forge(t).NewRepository(t)
	r := newRepository(t)
	r.git(t, "push", "--quiet", forge.PushURL(), "main")
	secret := "0000000000000000000000000000000000000000"
	p, err := New(Config{URL: forge.CloneURL, Auth: basic(func() (string, error) { return secret, nil })})
	if err != nil {
		t.Fatal(err)
	}
	c := wanted(r.shas[0], status.Pending, "0/13 synced")
	if err := p.Post(t.Context(), c); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post with a wrong token = %v, want ErrUnauthorized", err)
	}
	secret = forge.Token
	for _, c := range []status.Commit{c, wanted(r.shas[0], status.Success, "13/13 clusters"), wanted(r.shas[1], status.Failure, "1/13 failed")} {
		if err := p.Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		r.git(t, "fetch", "--quiet", "--force", forge.PushURL(), Ref+":"+Ref)
		if got := r.noteOf(t, c.SHA, c.Context); len(got) != 1 || !got[0].Same(c) {
			t.Errorf("git shows %v, want %v", got, c)
		}
	}
	if n := r.git(t, "rev-list", "--count", Ref); n != "3" {
		t.Errorf("the forge has %s commits of notes, want 3", n)
	}
	r.sound(t)
}
