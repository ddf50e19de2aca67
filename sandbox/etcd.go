package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/port"
)

// etcd is a running store.
type etcd struct {
	program *child.Child
	port    *port.Reservation
	dir     string // its data directory
}

func (e *etcd) url() string { return "http://" + e.port.Address() }

// startEtcd starts a store in dir, with the data that dir already holds.
func startEtcd(group *child.Group, options Options, name, dir string, ended func(error)) (*etcd, error) {
	p, err := port.Reserve()
	if err != nil {
		return nil, err
	}
	e := &etcd{port: p, dir: dir}
	e.program, err = group.Start(child.Program{
		Name: name,
		Path: options.Paths[build.Etcd],
		Args: []string{
			"--name=sandbox",
			"--data-dir=" + dir,
			"--listen-client-urls=" + e.url(),
			"--advertise-client-urls=" + e.url(),
			"--listen-peer-urls=http://127.0.0.1:0", // there are no peers
			"--socket-reuse-port",                   // the port is shared with our reservation
			"--unsafe-no-fsync",                     // the data does not outlive us
			"--log-level=warn",
		},
		Env:   []string{"HOME=" + filepath.Dir(dir), "PATH="},
		Dir:   filepath.Dir(dir),
		Log:   filepath.Join(options.Logs, name+".log"),
		Ended: ended,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return e, nil
}

// copyTo copies the data while etcd is paused. The copy is what a crash would have
// left, so another etcd can start from it.
func (e *etcd) copyTo(dir string) (err error) {
	if err := e.program.Pause(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.program.Resume()) }()
	return copyFolder(dir, e.dir)
}

func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		}
		return copySparse(filepath.Join(to, relative), path)
	})
}

// copySparse copies a file and leaves holes where it has zeros: etcd allocates 64 MB
// for its log at once.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	block := make([]byte, 64<<10)
	zeros := make([]byte, len(block))
	var size int64
	for {
		n, err := io.ReadFull(in, block)
		if n > 0 && string(block[:n]) != string(zeros[:n]) {
			if _, err := out.WriteAt(block[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out.Truncate(size)
		case err != nil:
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
}
