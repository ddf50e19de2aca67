package objectdb

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Spool stores received bytes: in memory up to a size, and beyond that in an
// unnamed file, which the kernel frees when it is closed. So a repository of
// ordinary size needs no disk, a large one needs disk instead of memory, and a
// crash leaves nothing behind.
type Spool struct {
	Dir    string // for the file; empty for the system's default
	Memory int64  // bytes to hold at most

	Size   int64
	buffer bytes.Buffer
	file   *os.File // nil while in memory
}

// Write adds bytes at the end.
func (s *Spool) Write(p []byte) (int, error) {
	if s.file == nil && s.Size+int64(len(p)) > s.Memory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	s.Size += int64(len(p))
	if s.file != nil {
		return s.file.Write(p)
	}
	return s.buffer.Write(p)
}

func (s *Spool) spill() error {
	file, err := os.CreateTemp(s.Dir, "fedsync-pack-*")
	if err != nil {
		return fmt.Errorf("create a temporary file for the fetched pack in CacheDir: %w", err)
	}
	// The file's finaliser closes it when the last Snapshot that reads it is
	// gone; nothing else knows when that is.
	err = os.Remove(file.Name())
	if err == nil {
		_, err = s.buffer.WriteTo(file)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	s.buffer = bytes.Buffer{}
	s.file = file
	return nil
}

// Reader returns what was written, from its beginning. The spool must not be
// written to afterwards.
func (s *Spool) Reader() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(bytes.Clone(s.buffer.Bytes())), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

// Discard frees what was written, if it is not needed.
func (s *Spool) Discard() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
