package objectdb

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxOwnFile bounds a file of Git's own that is read whole, in bytes: a million refs
// that are packed.
const MaxOwnFile = 64 << 20

// ReadFile reads a file of the Git folder.
func ReadFile(path string) ([]byte, error) { return ReadAtMost(path, MaxOwnFile) }

// ReadAtMost reads a file of a Git folder that has at most so many bytes.
func ReadAtMost(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := Readable(path, info, most); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Readable reports as an error that a file of the Git folder is not to be read. What
// is no file, such as a device that a link leads to, might have no end.
func Readable(path string, info fs.FileInfo, most int64) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case info.Size() > most:
		return fmt.Errorf("%s has %d bytes; %d are read", path, info.Size(), most)
	}
	return nil
}

// Join returns a path that a file of a Git folder has, which is relative to dir or absolute.
func Join(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
