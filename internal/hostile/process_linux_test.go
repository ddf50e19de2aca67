package hostile_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ownGroup lets the program and all that it starts be killed at once, and ends it
// with this process.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// A family is a process and what it started, however deep.
type family struct {
	members   map[int]int64 // the most memory of each so far, in bytes
	strangers map[int]bool  // processes that are known not to belong
}

func newFamily(pid int) *family {
	return &family{members: map[int]int64{pid: 0}, strangers: map[int]bool{}}
}

// measure returns how much memory the members had at most, added up, in bytes. Who
// ended counts with what it had: this is an upper bound of what they had at once.
// (The kernel's own account for a parent begins with the memory of whoever started
// the process, which is a test here.)
func (f *family) measure() int64 {
	f.find()
	var sum int64
	for pid := range f.members {
		if now := peak(pid); now > 0 {
			f.members[pid] = now
		}
		sum += f.members[pid]
	}
	return sum
}

// find adds the processes whose parent is a member.
func (f *family) find() {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // what was read counts
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || f.strangers[pid] {
			continue
		}
		if _, known := f.members[pid]; known {
			continue
		}
		if _, ours := f.members[parent(pid)]; ours {
			f.members[pid] = 0
		} else {
			f.strangers[pid] = true
		}
	}
}

// parent returns a process's parent; 0 where it is gone.
func parent(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The program's name, in brackets, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	p, _ := strconv.Atoi(fields[1])
	return p
}

// peak returns the most memory a process had, in bytes; 0 where it is gone.
func peak(pid int) int64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}

// kill ends all members.
func (f *family) kill() {
	for pid := range f.members {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
