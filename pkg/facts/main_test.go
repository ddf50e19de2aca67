package facts

import (
	"os"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
