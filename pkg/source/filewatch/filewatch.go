package filewatch

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// Watched is what a Watch watches.
type Watched struct {
	Files []string // watched through their folders, since files are replaced rather than written
	Trees []string // folders, with everything below them, now or later
}

// Watch calls nudge when something that is watched changes. It only makes polls
// come sooner: where the kernel sends no events (a network file system, or no
// more watches available), polling finds the change.
type Watch struct {
	what  func() Watched
	nudge func()
	log   *zap.Logger

	// refreshes has a capacity of one: one pending refresh is enough.
	refreshes chan struct{}
}

// New returns a Watch. It calls what at each refresh to learn what to watch.
func New(what func() Watched, nudge func(), log *zap.Logger) *Watch {
	return &Watch{what: what, nudge: nudge, log: log, refreshes: make(chan struct{}, 1)}
}

// Refresh makes Run watch folders that are not watched yet.
func (w *Watch) Refresh() {
	select {
	case w.refreshes <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files cannot be watched, changes are seen at the next poll", zap.Error(err))
		return
	}
	defer func() { _ = notify.Close() }()
	what := w.add(notify)
	// What changed before the watch existed would go unnoticed.
	w.nudge()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.refreshes:
			what = w.add(notify)
		case err := <-notify.Errors:
			// Events were lost: read everything that they may have reported.
			w.log.Debug("watching files", zap.Error(err))
			what = w.add(notify)
			w.nudge()
		case event := <-notify.Events:
			if event.Has(fsnotify.Create) && what.inTree(event.Name) {
				// This may be a folder, whose present content causes no events.
				w.addTree(notify, event.Name)
			}
			if what.Concerns(event) {
				w.nudge()
			}
		}
	}
}

func (w *Watch) add(notify *fsnotify.Watcher) Watched {
	what := w.what()
	have := notify.WatchList()
	for _, name := range what.Files {
		dir := filepath.Dir(name)
		if slices.Contains(have, dir) {
			continue
		}
		if err := notify.Add(dir); err != nil {
			w.log.Debug("folder is not watched", zap.String("folder", dir), zap.Error(err))
		}
	}
	for _, tree := range what.Trees {
		w.addTree(notify, tree)
	}
	return what
}

func (w *Watch) addTree(notify *fsnotify.Watcher, tree string) {
	// Folders that vanish during the walk need no watch.
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if err := notify.Add(path); err != nil {
				w.log.Debug("folder is not watched", zap.String("folder", path), zap.Error(err))
			}
		}
		return nil
	})
}

// Concerns reports whether an event can mean that there is something new to
// read.
func (w Watched) Concerns(event fsnotify.Event) bool {
	if event.Op == fsnotify.Chmod || strings.HasSuffix(event.Name, ".lock") {
		return false // Git writes NAME.lock and renames it to NAME.
	}
	if w.inTree(event.Name) {
		return true
	}
	for _, name := range w.Files {
		// Kubernetes mounts a Secret's files as links through ..data, and
		// replaces that one link. Git's own folders have no such name.
		if event.Name == name || event.Name == filepath.Join(filepath.Dir(name), "..data") {
			return true
		}
	}
	return false
}

func (w Watched) inTree(name string) bool {
	return slices.ContainsFunc(w.Trees, func(tree string) bool {
		return strings.HasPrefix(name, tree+string(filepath.Separator))
	})
}
