//go:build unix

package claim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// state stores a token from one start to the next, in two files. One is a lock, which
// is never written and is released with the process, however that ends. The other has
// the token, and is replaced as a whole.
type state struct {
	number int   // of the lock: how many locks were taken already
	token  Token // of the previous start; zero if it must not be used again
	floor  uint64

	lock *os.File
	file string
	home home

	writing sync.Mutex // held while the token is written

	mu  sync.Mutex // protects err
	err error      // why nothing is stored
}

// home is where a token may be used again: where it was written, and not in a copy. A
// copied file has another inode and another change time, which no program can set.
// Another machine has another host name or machine id.
type home struct {
	Host    string `json:"host"`
	Machine string `json:"machine,omitempty"`
	Inode   uint64 `json:"inode"`
	Changed int64  `json:"changed,omitempty"`
}

// keptToken is the content of the file.
type keptToken struct {
	Token string `json:"token"`
	Home  home   `json:"home"`
}

// maxLocks bounds the processes of one source on one machine that get a lock.
const maxLocks = 100

// openState takes the first free lock. If that fails, it returns a state that stores
// nothing.
func openState(dir, source string) *state {
	s := &state{}
	if err := s.open(dir, source); err != nil {
		s.err = err
	}
	return s
}

func (s *state) open(dir, source string) error {
	if dir == "" {
		return errors.New("no folder to store it in")
	}
	for n := range maxLocks {
		lock, err := takeLock(filepath.Join(dir, fmt.Sprintf("claim-%s-%d.lock", source, n)))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		s.number, s.lock = n, lock
		s.file = filepath.Join(dir, fmt.Sprintf("claim-%s-%d.json", source, n))
		if s.home, err = homeOf(lock); err != nil {
			return err
		}
		s.read()
		return nil
	}
	return fmt.Errorf("all %d locks in %s are taken", maxLocks, dir)
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func homeOf(lock *os.File) (home, error) {
	info, err := lock.Stat()
	if err != nil {
		return home{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return home{}, fmt.Errorf("stat %s: it has no inode", lock.Name())
	}
	host, err := os.Hostname()
	if err != nil {
		return home{}, err
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine = nil // not every system has one
	}
	return home{Host: host, Machine: strings.TrimSpace(string(machine)), Inode: stat.Ino, Changed: changeTime(stat)}, nil
}

// read reads the token of the previous start. A file that is lost, torn or from another
// place costs only a new generation.
func (s *state) read() {
	f, err := os.Open(s.file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, 1<<16))
	var kept keptToken
	if err != nil || json.Unmarshal(content, &kept) != nil {
		return
	}
	token, err := Parse(kept.Token)
	if err != nil {
		return
	}
	s.floor = token.generation
	if kept.Home == s.home {
		s.token = token
	}
}

// keep writes the token, and returns when it is on disk.
func (s *state) keep(token Token) error {
	err := s.failure()
	if s.file != "" {
		err = s.write(token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return err
}

func (s *state) write(token Token) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	content, err := json.Marshal(keptToken{Token: token.String(), Home: s.home})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.file+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(s.file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (s *state) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// close releases the lock. Closing the file is not enough: a child process that is
// being started has a copy of the descriptor until it runs, and the next start would
// count it as another process.
func (s *state) close() error {
	if s.lock == nil {
		return nil
	}
	return errors.Join(syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
}
