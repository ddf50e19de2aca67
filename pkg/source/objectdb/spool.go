package objectdb

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Spool takes what is received: in memory up to a size, and beyond that in a
// file without a name, which the kernel frees when it is no longer open. So a
// repository of ordinary size needs no disk at all, a large one costs disk and
// not memory, and a crash leaves nothing behind.
type Spool struct {
	Dir    string // for the file; empty for the system's
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
		return fmt.Errorf("make a file for what is fetched (CacheDir says where): %w", err)
	}
	// The file's finaliser closes it when the last Snapshot that reads it is
	// gone; there is nobody else to know when that is.
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

// Reader gives what was written, from its beginning. The spool must not be
// written any more.
func (s *Spool) Reader() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(bytes.Clone(s.buffer.Bytes())), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

// Discard frees what was written, when it is not to be read.
func (s *Spool) Discard() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
