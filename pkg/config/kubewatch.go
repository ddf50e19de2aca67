package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// Several events make one change, since files may be half-written. And some
// changes cause no event, as on a network file system, so the files' metadata is
// checked at intervals.
const (
	settleTime   = 50 * time.Millisecond
	pollInterval = 30 * time.Second
)

// Watch reads the kubeconfigs and the files that they name again when they
// change, and calls changed when their content is new, until ctx ends. Other
// files in the same folders are ignored.
func (k *Kubeconfig) Watch(ctx context.Context, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the kubeconfig: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	w := &fileWatch{watcher: watcher, log: k.log}
	w.follow(k.watched())
	stats := statsOf(k.watched())
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	settle := time.NewTimer(0) // something may have changed since they were read
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-watcher.Events:
			if w.concerns(e.Name) {
				settle.Reset(settleTime)
			}
		case err := <-watcher.Errors: // events may be lost
			k.log.Warn("watching the kubeconfig failed", zap.Error(err))
			settle.Reset(settleTime)
		case <-poll.C:
			// An unreadable file may become readable without another change.
			if now := statsOf(k.watched()); !now.equal(stats) || k.Err() != nil {
				settle.Reset(0)
			}
		case <-settle.C:
			// Set the watches first, so that no change is missed.
			w.follow(k.watched())
			stats = statsOf(k.watched())
			before := k.Err()
			if !k.load() {
				continue
			}
			w.follow(k.watched()) // it may now name other files
			switch err := k.Err(); {
			case err != nil && (before == nil || before.Error() != err.Error()):
				k.log.Warn("kubeconfig not read, the previous one stays in use", zap.Error(err))
			case err == nil:
				k.log.Info("kubeconfig read")
			}
			changed()
		}
	}
}

// watched returns the files by which clusters are reached.
func (k *Kubeconfig) watched() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Concat(k.rules.GetLoadingPrecedence(), namedFiles(k.config))
}

// fileWatch watches the folders through which the paths of files lead.
type fileWatch struct {
	watcher *fsnotify.Watcher
	log     *zap.Logger
	names   map[string]bool // paths whose events count
	failed  string          // the last error, so that it is logged only once
}

// follow sets the watches to those for files. A watch is on a folder, since a
// watch on a file is lost when the file is replaced, as editors do.
func (w *fileWatch) follow(files []string) {
	w.names = map[string]bool{}
	folders := map[string]bool{}
	for _, file := range files {
		trace(file, folders, w.names)
	}
	for _, folder := range w.watcher.WatchList() {
		if !folders[folder] {
			_ = w.watcher.Remove(folder) // it may be gone, and its watch too
		}
	}
	var all error
	for folder := range folders {
		w.names[folder] = true // moving or deleting the folder counts
		// Adding a watched folder costs nothing; a replaced folder must be
		// watched again.
		if err := w.watcher.Add(folder); err != nil {
			all = errors.Join(all, err)
		}
	}
	if all == nil {
		w.failed = ""
	} else if text := all.Error(); text != w.failed {
		w.failed = text
		w.log.Warn("some folders of credentials cannot be watched, their files are checked every 30 seconds", zap.Error(all))
	}
}

func (w *fileWatch) concerns(name string) bool { return w.names[filepath.Clean(name)] }

// trace adds the folders that lead to a file, and the names in them that decide
// where the path leads: its symbolic links, the file itself, or the first part
// that does not exist yet. Kubernetes updates a mounted Secret by replacing a link
// next to it.
func trace(file string, folders, names map[string]bool) {
	path, err := filepath.Abs(file)
	if err != nil {
		return // without a working folder there is no file either
	}
	at, rest := string(filepath.Separator), strings.Split(strings.Trim(path, string(filepath.Separator)), string(filepath.Separator))
	const mostLinks = 40 // as many as the kernel follows
	links := 0
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		i, err := os.Lstat(next)
		switch {
		case err != nil:
			folders[at], names[next] = true, true
			return
		case i.Mode()&fs.ModeSymlink != 0:
			folders[at], names[next] = true, true
			target, err := os.Readlink(next)
			if links++; err != nil || links > mostLinks {
				return
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(at, target)
			}
			at = string(filepath.Separator)
			rest = append(strings.Split(strings.Trim(filepath.Clean(target), at), at), rest[1:]...)
		case len(rest) == 1 || !i.IsDir():
			folders[at], names[next] = true, true
			return
		default:
			at, rest = next, rest[1:]
		}
	}
}

// fileStats is the metadata of files.
type fileStats map[string]fs.FileInfo // nil where it does not exist

func statsOf(files []string) fileStats {
	stats := make(fileStats, len(files))
	for _, file := range files {
		i, err := os.Stat(file)
		if err != nil {
			i = nil
		}
		stats[file] = i
	}
	return stats
}

func (s fileStats) equal(o fileStats) bool {
	if len(s) != len(o) {
		return false
	}
	for file, a := range s {
		b, ok := o[file]
		switch {
		case !ok, (a == nil) != (b == nil):
			return false
		case a != nil && (!os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())):
			return false
		}
	}
	return true
}
