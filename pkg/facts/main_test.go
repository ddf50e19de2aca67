package facts

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fedsync/fedsync/internal/sandboxtest"
)

// TestMain fails if a goroutine is left at the end, except for the readers of HTTP/2
// connections that sandboxtest's own clients keep open.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(sandboxed{m},
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http/internal/http2.(*ClientConn).readLoop"))
}

type sandboxed struct{ m *testing.M }

func (s sandboxed) Run() int { return sandboxtest.Main(s.m) }
