package source_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestTheRevisionsBeforeAreThoseOfTheBranch(t *testing.T) {
	repo := sourcetest.New(t)
	var pushed []string
	for i := range 40 {
		pushed = append(pushed, repo.Commit(fmt.Sprint(i), map[string]string{"fedsync.yaml": fmt.Sprint(i)}))
	}
	repo.InWork("checkout", "--quiet", "-b", "side", pushed[20])
	repo.Commit("on the side", map[string]string{"side.yaml": "x"})
	repo.InWork("checkout", "--quiet", "--detach", pushed[39])
	repo.InWork("merge", "--quiet", "--no-ff", "-m", "merge", "side")
	pushed = append(pushed, repo.Head())
	tip := repo.Push("newest", map[string]string{"fedsync.yaml": "broken"})
	slices.Reverse(pushed)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			s := open(t, opts)
			of := federation.Revision{Ref: "main", SHA: tip}
			for _, most := range []int{1, 15, 16, 17, 30, 1000} {
				var got []string
				err := s.Before(t.Context(), of, func(before federation.Snapshot) bool {
					got = append(got, before.Revision.SHA)
					if before.Revision.Ref != "main" {
						t.Errorf("the ref is %q, want main", before.Revision.Ref)
					}
					if len(got) > 1 { // older than the merge
						wantFile(t, before.Files, "fedsync.yaml", fmt.Sprint(41-len(got)))
					}
					return len(got) == most
				})
				if want := pushed[:min(most, len(pushed))]; err != nil || !slices.Equal(got, want) {
					t.Errorf("up to %d: got %d revisions, %v, want %d:\n%s\nwant\n%s", most, len(got), err, len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}

func TestTheRevisionsBeforeEndWithAShallowClone(t *testing.T) {
	repo := sourcetest.New(t)
	for i := range 5 {
		repo.Push(fmt.Sprint(i), map[string]string{"fedsync.yaml": fmt.Sprint(i)})
	}
	shallow := t.TempDir()
	repo.Git("clone", "--quiet", "--bare", "--depth", "3", "file://"+repo.Path, shallow)
	n := 0
	err := open(t, source.Options{URL: shallow}).Before(t.Context(), federation.Revision{Ref: "main", SHA: repo.Head()}, func(federation.Snapshot) bool {
		n++
		return false
	})
	if err != nil || n != 2 {
		t.Errorf("before the tip of a clone of depth 3 are %d revisions, %v, want 2", n, err)
	}
}
