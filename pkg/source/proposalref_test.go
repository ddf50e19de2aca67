package source_test

import (
	"context"
	"errors"
	"testing"

	"github.com/fedsync/fedsync/pkg/source"
)

func TestTheHeadOfAPullRequestIsFetchedByItsRef(t *testing.T) {
	repo, from, main, head := proposed(t)
	repo.Git("update-ref", "refs/pull/7/head", head)
	repo.Git("update-ref", "-d", "refs/heads/change")
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			opts.Ref = "main"
			s := open(t, opts)
			if _, err := s.ProposeRef(t.Context(), "refs/pull/7/head", head); !errors.Is(err, source.ErrUnreadable) {
				t.Errorf("ProposeRef before anything was read = %v, want ErrUnreadable", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			read, ended := make(chan source.Event, 10), make(chan error, 1)
			go func() { ended <- s.Run(ctx, func(e source.Event) { read <- e }) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}()
			if e := <-read; e.Err != nil || e.Snapshot.Revision.SHA != main || s.Branch() != "main" {
				t.Fatalf("read %+v of %q, want main", e, s.Branch())
			}
			p, err := s.ProposeRef(t.Context(), "refs/pull/7/head", head)
			if err != nil {
				t.Fatal(err)
			}
			if p.Base.Revision.SHA != main || p.Head.SHA != head || p.From.SHA != from {
				t.Errorf("proposal = %s into %s from %s, want %.7s into %.7s from %.7s", p.Head, p.Base.Revision, p.From, head, main, from)
			}
			wantFile(t, p.Merged.Files, "apps/nginx/web.yaml", "kind: Service\n")
			wantFile(t, p.Merged.Files, "apps/other/x.yaml", "x: y\n")

			_, err = s.ProposeRef(t.Context(), "refs/pull/7/head", from)
			if moved, ok := errors.AsType[*source.MovedError](err); !ok || moved.Is != head {
				t.Errorf("ProposeRef of another commit = %v, want a MovedError that names where the ref leads", err)
			}
			if _, err := s.ProposeRef(t.Context(), "main", main); err == nil {
				t.Error("ProposeRef of a branch's short name = no error")
			}
		})
	}
}
