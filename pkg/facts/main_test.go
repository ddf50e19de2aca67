package facts

import (
	"os"
	"testing"

	"github.com/fedsync/fedsync/internal/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }
