package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// initRepository makes an empty bare repository at path. It ignores the Git settings
// of the user and the machine.
func initRepository(ctx context.Context, home, path string) error {
	cmd := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the repository %s: %w: %s", path, err, strings.TrimSpace(string(out)))
	}
	return nil
}
