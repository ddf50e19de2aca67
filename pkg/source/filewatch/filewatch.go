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

// Watched is what a watch looks at.
type Watched struct {
	Files []string // by their folders, since files are replaced and not written
	Trees []string // folders with all that is below them, now or later
}

// Watch calls nudge when something that is watched changes. It only makes polls
// come sooner: where the kernel gives no notice (a network file system, no more
// watches to be had) the interval does.
type Watch struct {
	what  func() Watched
	nudge func()
	log   *zap.Logger

	// refreshes holds one: there is nothing to do twice.
	refreshes chan struct{}
}

// New returns a watch of what the function names each time that it is asked.
func New(what func() Watched, nudge func(), log *zap.Logger) *Watch {
	return &Watch{what: what, nudge: nudge, log: log, refreshes: make(chan struct{}, 1)}
}

// Refresh makes Run look for folders that are not watched yet.
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
	// What changed before the watch was there would go unnoticed.
	w.nudge()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.refreshes:
			what = w.add(notify)
		case err := <-notify.Errors:
			// Events were lost: look for what they may have said.
			w.log.Debug("watching files", zap.Error(err))
			what = w.add(notify)
			w.nudge()
		case event := <-notify.Events:
			if event.Has(fsnotify.Create) && what.inTree(event.Name) {
				// A folder, maybe: what is in it by now is not announced.
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
	// Folders that vanish meanwhile have nothing to say.
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if err := notify.Add(path); err != nil {
				w.log.Debug("folder is not watched", zap.String("folder", path), zap.Error(err))
			}
		}
		return nil
	})
}

// Concerns says whether an event can mean that something new is to be read.
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
