package source

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/filewatch"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestOnlyRefsThatCanBeFollowedNudge(t *testing.T) {
	s, err := Open(Options{URL: sourcetest.New(t).Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	path, _ := s.LocalPath()
	what := s.watched()()
	for name, want := range map[string]bool{
		"refs/heads/main": true, "refs/heads/team/x": true, "refs/tags/v1": true, "HEAD": true, "packed-refs": true,
		"refs/notes/commits": false, "refs/heads/main.lock": false, "HEAD.lock": false, "config": false, "index": false,
		"refs/pull/1/head": false, "FETCH_HEAD": false,
	} {
		event := fsnotify.Event{Name: filepath.Join(path, filepath.FromSlash(name)), Op: fsnotify.Create}
		if got := what.Concerns(event); got != want {
			t.Errorf("concerns(%s) = %v, want %v", name, got, want)
		}
	}
}

func TestNotesCauseNoPoll(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	nudged := make(chan struct{}, 100) // more than this test can cause
	w := filewatch.New(s.watched(), func() { nudged <- struct{}{} }, zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	wait := func(why string) {
		t.Helper()
		select {
		case <-nudged:
		case <-time.After(10 * time.Second):
			t.Fatal("no nudge " + why)
		}
	}
	wait("at the start")
	repo.Git("notes", "add", "--message", "a note", "main")
	repo.Git("notes", "append", "--message", "more", "main")
	if n := len(nudged); n != 0 {
		t.Errorf("%d nudges after notes, want none", n)
	}
	repo.Git("branch", "other", "main")
	wait("after a branch was made")
}

func TestPollsBackOffWithinABound(t *testing.T) {
	s := &Source{opts: Options{Interval: 15 * time.Second}}
	for failures, want := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 2 * time.Minute, 2 * time.Minute} {
		for range 100 {
			got := s.pause(failures)
			if got < want*9/10 || got > want*11/10 {
				t.Fatalf("pause(%d) = %v, want %v ±10 %%", failures, got, want)
			}
		}
	}
	s.opts.Interval = 10 * time.Minute
	if got := s.pause(3); got < 9*time.Minute || got > 11*time.Minute {
		t.Errorf("pause(3) with an interval of 10 minutes = %v, want that", got)
	}
}
