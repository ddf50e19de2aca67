package source_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// Azure DevOps answers 400 to a fetch that does not request multi_ack.
func TestAServerThatNeedsMultiACKIsRead(t *testing.T) {
	repo := sourcetest.New(t)
	first := repo.Push("first", map[string]string{"a": "1", "b": "1"})
	web := sourcetest.ServeHTTP(t, repo, "")
	shell := sourcetest.ServeSSH(t, repo)
	web.NeedsMultiACK, shell.NeedsMultiACK = true, true
	for name, opts := range map[string]source.Options{
		"http": {URL: web.CloneURL()},
		"ssh":  {URL: shell.CloneURL(), SSHKeyFile: shell.KeyFile, KnownHostsFile: shell.KnownHosts},
	} {
		f := follow(t, opts)
		f.wantRevision(first)
		if s := f.wantRevision(repo.Push("more", map[string]string{"a": name})); s.Forced {
			t.Errorf("%s: a commit on top is Forced", name)
		} else {
			wantFile(t, s.Files, "a", name)
			wantFile(t, s.Files, "b", "1")
		}
		for range 3 { // a descendant, with commits between
			repo.Commit("between", map[string]string{"a": name + "!"})
		}
		repo.PushTo("main")
		if s := f.wantRevision(repo.Head()); s.Forced {
			t.Errorf("%s: three commits on top are Forced", name)
		}
		repo.InWork("reset", "--hard", first)
		first = repo.Commit("instead "+name, map[string]string{"a": "2"})
		repo.PushTo("main")
		if s := f.wantRevision(first); !s.Forced {
			t.Errorf("%s: a revision that does not descend from the previous one is not Forced", name)
		} else {
			wantFile(t, s.Files, "a", "2")
		}
	}
}

func TestTheUserNameOfAURLGoesWithTheToken(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	server := sourcetest.ServeHTTP(t, repo, "right-token")
	token := file(t, "right-token\n")
	for user, c := range map[string]struct{ url, username string }{
		"contoso": {url: strings.Replace(server.CloneURL(), "://", "://contoso@", 1)},
		"robot":   {url: strings.Replace(server.CloneURL(), "://", "://contoso@", 1), username: "robot"},
	} {
		server.Username = user
		s := open(t, source.Options{URL: c.url, TokenFile: token, Username: c.username})
		got, err := s.Snapshot(t.Context(), "")
		if err != nil || got.Revision.SHA != sha {
			t.Errorf("%s: Snapshot = %v, %v, want %s", user, got.Revision, err, sha)
		}
		if s.String() != server.CloneURL() || s.Identity() != server.CloneURL() {
			t.Errorf("%s: the repository is %s, and its identity %s; want both without the user", user, s, s.Identity())
		}
	}
}
