package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processors is the time of the machine's processors since it started, in ticks
// (hundredths of a second of one core).
type processors struct {
	all  float64 // working or not
	busy float64
	own  float64 // for this program and all that it started
}

// others returns the share of the machine that other programs used since before. If it is
// high, the figures prove nothing.
func (p processors) others(before processors) float64 {
	all := p.all - before.all
	if all <= 0 {
		return 0
	}
	return max(0, (p.busy-before.busy)-(p.own-before.own)) / all
}

func readProcessors() (processors, error) {
	var p processors
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p, err
	}
	// user nice system idle iowait irq softirq steal; what follows is included in user.
	first, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return p, fmt.Errorf("/proc/stat begins with %q", first)
	}
	for i, f := range fields[1:9] {
		ticks, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return p, fmt.Errorf("read /proc/stat: %w", err)
		}
		p.all += ticks
		if i != 3 && i != 4 {
			p.busy += ticks
		}
	}
	p.own, err = familyTicks(os.Getpid())
	return p, err
}

// familyTicks returns the processor time of a process, of its descendants, and of
// those of them that have ended.
func familyTicks(pid int) (float64, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks, children := map[int]float64{}, map[int][]int{}
	for _, file := range stats {
		s, err := readProcess(file)
		if err != nil {
			continue // it has ended
		}
		ticks[s.pid] = s.ticks
		children[s.parent] = append(children[s.parent], s.pid)
	}
	var sum float64
	for family := []int{pid}; len(family) > 0; {
		sum += ticks[family[0]]
		family = append(family[1:], children[family[0]]...)
	}
	return sum, nil
}

// process is one process, from /proc/PID/stat.
type process struct {
	pid, parent int
	ticks       float64 // of itself and its ended children
}

func readProcess(file string) (process, error) {
	var p process
	data, err := os.ReadFile(file)
	if err != nil {
		return p, err
	}
	// The second field is a name in parentheses, which may contain anything.
	text := string(data)
	end := strings.LastIndexByte(text, ')')
	head, _, _ := strings.Cut(text, " ")
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return p, errors.New(file + " is too short")
	}
	// Parent, utime, stime, cutime and cstime are the 4th and the 14th to 17th
	// of all fields, and the first two are cut off here.
	var numbers [5]float64
	for i, at := range []int{1, 11, 12, 13, 14} {
		if numbers[i], err = strconv.ParseFloat(fields[at], 64); err != nil {
			return p, fmt.Errorf("read %s: %w", file, err)
		}
	}
	if p.pid, err = strconv.Atoi(head); err != nil {
		return p, fmt.Errorf("read %s: %w", file, err)
	}
	p.parent = int(numbers[0])
	p.ticks = numbers[1] + numbers[2] + numbers[3] + numbers[4]
	return p, nil
}
