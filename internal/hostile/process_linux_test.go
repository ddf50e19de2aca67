package hostile_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup puts the program and everything that it starts into a process group
// that can be killed as a whole, and makes it end with this process.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// A family is a process and all of its descendants.
type family struct {
	members   map[int]usage
	strangers map[int]bool // processes known not to be members
}

// usage is the resource usage of one process.
type usage struct {
	memory    int64 // peak of its own memory, in bytes
	processor time.Duration
}

func newFamily(pid int) *family {
	return &family{members: map[int]usage{pid: {}}, strangers: map[int]bool{}}
}

// measure returns the total usage of the members. The memory is the sum of the peaks
// of the living members, so it is an upper bound of what they use at the same time.
// Pages of files, which are the program itself, are shared by all and count once.
// (The kernel's own accounting for a parent is of no use here: it begins with the
// memory of the process's creator, which is a test.)
func (f *family) measure() (memory int64, processor time.Duration) {
	f.find()
	var files int64
	for pid, u := range f.members {
		if now := processorTime(pid); now > 0 {
			u.processor = now
		}
		own, ofFiles := memoryOf(pid)
		u.memory = max(u.memory, own)
		f.members[pid] = u
		processor += u.processor
		if own > 0 {
			memory += u.memory
			files = max(files, ofFiles)
		}
	}
	return memory + files, processor
}

// find adds the processes whose parent is a member.
func (f *family) find() {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // on an error, use what was read
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || f.strangers[pid] {
			continue
		}
		if _, known := f.members[pid]; known {
			continue
		}
		if _, ours := f.members[parent(pid)]; ours {
			f.members[pid] = usage{}
		} else {
			f.strangers[pid] = true
		}
	}
}

// parent returns a process's parent; 0 if it has ended.
func parent(pid int) int { return int(stat(pid, 4)) }

// processorTime returns the processor time of a process; 0 if it has ended.
func processorTime(pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all platforms of Linux
	return time.Duration(stat(pid, 14)+stat(pid, 15)) * tick
}

// stat returns a number of a process by its position in proc_pid_stat(5); 0 if the
// process has ended.
func stat(pid, place int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The second field, the program's name in brackets, may contain anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < place-2 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[place-3], 10, 64)
	return n
}

// memoryOf returns the peak of a process's own memory, and its memory of files, in
// bytes; 0 if it has ended.
func memoryOf(pid int) (own, files int64) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0
	}
	files = kibibytes(status, "RssFile")
	return max(kibibytes(status, "VmHWM")-files, 0), files
}

// kibibytes reads a line of proc_pid_status(5), and returns bytes.
func kibibytes(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n << 10
}

// living returns the number of living members.
func (f *family) living() int {
	n := 0
	for pid := range f.members {
		if parent(pid) != 0 {
			n++
		}
	}
	return n
}

// kill kills all members.
func (f *family) kill() {
	for pid := range f.members {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
