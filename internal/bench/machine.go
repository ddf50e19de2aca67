package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what a figure depends on in addition to the program.
type Machine struct {
	OS     string  `json:"os"`
	Arch   string  `json:"arch"`
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	Go     string  `json:"go"`
	Commit string  `json:"commit"`
}

func (m Machine) String() string {
	return fmt.Sprintf("%d cores of %s, %.0f GiB, %s/%s, %s", m.Cores, m.CPU, m.Memory, m.OS, m.Arch, m.Go)
}

// same reports whether figures of both machines belong in one table.
func (m Machine) same(o Machine) bool {
	m.Commit, o.Commit = "", ""
	return m == o
}

func describeMachine(ctx context.Context) (Machine, error) {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	cpu, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return m, err
	}
	m.CPU = cpu
	memory, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return m, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(memory, " kB"), 64)
	if err != nil {
		return m, fmt.Errorf("read /proc/meminfo: %w", err)
	}
	m.Memory = float64(int(kib/(1<<20)*10)) / 10
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return m, fmt.Errorf("find the commit: %w", err)
	}
	m.Commit = strings.TrimSpace(string(out))
	return m, nil
}

// field returns what follows "NAME:" in a file of /proc.
func field(file, name string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		before, after, _ := strings.Cut(line, ":")
		if strings.TrimSpace(before) == name {
			return strings.TrimSpace(after), nil
		}
	}
	return "", fmt.Errorf("%s has no %q", file, name)
}
