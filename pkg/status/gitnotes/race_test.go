package gitnotes

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// token returns the token that the suite's forge accepts.
func token() (string, error) { return statustest.Token, nil }

func TestNotesOfAConcurrentGitAreNotLost(t *testing.T) {
	r := newRepository(t)
	const writes = 25
	r.git(t, "commit", "--quiet", "--allow-empty", "-m", "theirs")
	theirs := r.git(t, "rev-parse", "HEAD")
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := range writes {
			note := fmt.Sprintf("note %02d", i)
			for {
				// git gives up when the ref is locked, whereas we retry.
				_, err := r.tryGit(t, "notes", "--ref=fedsync", "append", "-m", note, theirs)
				if err == nil {
					break
				}
				if !strings.Contains(err.Error(), "lock") {
					t.Error(err)
					return
				}
			}
		}
	})
	for n := range 2 {
		p := newProvider(t, r.dir)
		writers.Go(func() {
			for i := range writes {
				c := wanted(r.shas[n], status.Pending, fmt.Sprint("words ", i))
				if err := p.Post(t.Context(), c); err != nil && !errors.Is(err, errMoved) {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	got := r.git(t, "notes", "--ref=fedsync", "show", theirs)
	for i := range writes {
		if want := fmt.Sprintf("note %02d", i); !strings.Contains(got, want) {
			t.Errorf("%q was lost", want)
		}
	}
	// `git notes` moves the ref without comparing, and so may lose what we wrote between
	// its read and its write: the next post repairs that.
	for n := range 2 {
		c := wanted(r.shas[n], status.Success, "the last")
		if err := newProvider(t, r.dir).Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := r.noteOf(t, c.SHA, c.Context); len(got) != 1 || !got[0].Same(c) {
			t.Errorf("git shows %v, want %v", got, c)
		}
	}
	r.sound(t)
}

func TestConcurrentPushesAreMerged(t *testing.T) {
	r := newRepository(t)
	server := httptest.NewServer(r.overHTTP(t))
	t.Cleanup(server.Close)
	const writes = 8
	var writers sync.WaitGroup
	for n := range 3 {
		writers.Go(func() {
			p, err := New(Config{URL: server.URL + "/clone/.git", Auth: basic(token)})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range writes {
				c := wanted(r.shas[0], status.Success, "13/13 clusters")
				c.Context = fmt.Sprintf("writer-%d/%d", n, i)
				err := p.Post(t.Context(), c)
				for again := 0; errors.Is(err, errMoved) && again < 20; again++ { // as the Poster would
					err = p.Post(t.Context(), c)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for n := range 3 {
		for i := range writes {
			context := fmt.Sprintf("writer-%d/%d", n, i)
			if got := r.noteOf(t, r.shas[0], context); len(got) != 1 {
				t.Errorf("the status %q was lost", context)
			}
		}
	}
	if n := r.git(t, "rev-list", "--count", Ref); n != fmt.Sprint(3*writes) {
		t.Errorf("%s commits, want one for each of %d posts", n, 3*writes)
	}
	r.sound(t)
}

func TestARemoteCopyIsFetchedOnlyAfterForeignWrites(t *testing.T) {
	r := newRepository(t)
	forge := r.overHTTP(t)
	var asked []string
	server := httptest.NewServer(recorder{forge, &asked})
	t.Cleanup(server.Close)
	p, err := New(Config{URL: server.URL + "/clone/.git", Auth: basic(token)})
	if err != nil {
		t.Fatal(err)
	}
	post := func(words string) {
		t.Helper()
		asked = nil
		if err := p.Post(t.Context(), wanted(r.shas[0], status.Pending, words)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when, want string) {
		t.Helper()
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s: requested %q, want %q", when, got, want)
		}
	}
	const discover, push = "info/refs?service=git-receive-pack", "git-receive-pack"
	post("one")
	check("the first note", discover+" "+push)
	post("two")
	check("a second note", discover+" "+push)
	post("two")
	check("an equal note", discover)
	r.git(t, "notes", "--ref=fedsync", "append", "-m", "foreign", r.shas[1])
	post("three")
	check("after another's note", discover+" info/refs?service=git-upload-pack git-upload-pack "+push)
	if got := r.git(t, "notes", "--ref=fedsync", "show", r.shas[1]); got != "foreign" {
		t.Errorf("the foreign note is %q", got)
	}
	r.sound(t)
}

func TestARemoteThatForbidsThePushIsUnauthorized(t *testing.T) {
	deny := map[string]func(*testing.T, *repository){
		"no pushes over HTTP": func(t *testing.T, r *repository) {
			r.git(t, "config", "http.receivepack", "false")
		},
		"a hook": func(t *testing.T, r *repository) {
			hook := filepath.Join(r.dir, ".git", "hooks", "update")
			if err := os.MkdirAll(filepath.Dir(hook), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // Git must run it.
				t.Fatal(err)
			}
		},
	}
	for name, forbid := range deny {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			server := httptest.NewServer(r.overHTTP(t))
			t.Cleanup(server.Close)
			forbid(t, r)
			p, err := New(Config{URL: server.URL + "/clone/.git", Auth: basic(token)})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Post(t.Context(), wanted(r.shas[0], status.Success, "13/13 clusters"))
			if !errors.Is(err, status.ErrUnauthorized) {
				t.Errorf("Post = %v, want ErrUnauthorized", err)
			}
			if list, err := p.List(t.Context(), r.shas[0], "fedsync/web"); err != nil || len(list) != 0 {
				t.Errorf("List = %v, %v, want nothing and no error, because reading is allowed", list, err)
			}
		})
	}
}

func TestACredentialInTheURLIsNotRepeated(t *testing.T) {
	p, err := New(Config{URL: "http://user:s3cr3t@127.0.0.1:1/team/web.git"})
	if err != nil {
		t.Fatal(err)
	}
	sha := strings.Repeat("a", 40)
	if err := p.Post(t.Context(), wanted(sha, status.Success, "")); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("Post = %v, want an error without the password", err)
	}
	if _, err := New(Config{URL: "http://user:s3cr3t@[::1"}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("New = %v, want an error without the password", err)
	}
}
