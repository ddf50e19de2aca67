package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// WithProgram builds fedsync and calls use with its path. It returns the exit status for
// TestMain: the result of use, or 1 if fedsync cannot be built. The program is built
// without the race detector, which multiplies memory use.
func WithProgram(use func(program string) int) int {
	dir, err := os.MkdirTemp("", "fedsync-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "fedsync")
	build := exec.Command("go", "build", "-o", program, "github.com/fedsync/fedsync/cmd/fedsync") //nolint:noctx // there is no test, and so no context, yet
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build fedsync: %v\n%s", err, out)
		return 1
	}
	return use(program)
}
