package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/render/worker"
)

// childConfig is the environment variable with the settings, in JSON, of a daemon that the
// test binary runs instead of the tests. Such a daemon can be killed.
const childConfig = "FEDSYNC_TEST_CHILD"

func TestMain(m *testing.M) {
	worker.Serve()
	if settings := os.Getenv(childConfig); settings != "" {
		fmt.Fprintln(os.Stderr, runChild(settings))
		os.Exit(1)
	}
	os.Exit(lab.Main(m))
}

// runChild runs a daemon until the process is killed.
func runChild(settings string) error {
	cfg := config.New()
	if err := json.Unmarshal([]byte(settings), cfg); err != nil {
		return err
	}
	log, err := zap.NewDevelopment()
	if err != nil {
		return err
	}
	d, err := New(cfg, Options{Version: testVersion, Log: log})
	if err != nil {
		return err
	}
	return d.Run(context.Background())
}
