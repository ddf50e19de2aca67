package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// WithProgram builds fedsync, without the race detector, which takes a multiple of the memory,
// and calls use with its path. It returns what use does, as TestMain exits: 1 where fedsync
// cannot be built.
func WithProgram(use func(program string) int) int {
	dir, err := os.MkdirTemp("", "fedsync-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "fedsync")
	build := exec.Command("go", "build", "-o", program, "github.com/fedsync/fedsync/cmd/fedsync") //nolint:noctx // There is no test yet.
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build fedsync: %v\n%s", err, out)
		return 1
	}
	return use(program)
}
