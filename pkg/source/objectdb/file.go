package objectdb

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxOwnFile bounds a file of the Git folder that is read whole, in bytes: enough
// for a million packed refs.
const MaxOwnFile = 64 << 20

// ReadFile reads a file of the Git folder.
func ReadFile(path string) ([]byte, error) { return ReadAtMost(path, MaxOwnFile) }

// ReadAtMost reads a file of a Git folder of no more than most bytes.
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

// Readable returns an error if a file of the Git folder must not be read. Something
// other than a regular file, such as a device behind a link, might never end.
func Readable(path string, info fs.FileInfo, most int64) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case info.Size() > most:
		return fmt.Errorf("%s has %d bytes, more than the limit of %d", path, info.Size(), most)
	}
	return nil
}

// Join resolves a path from a file in a Git folder: it is absolute or relative to dir.
func Join(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
