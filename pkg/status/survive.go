package status

import (
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// PanicError is a panic in a provider, which a forge's answer may cause.
type PanicError struct{ what string }

// Error names the panic and where to find the details.
func (e *PanicError) Error() string {
	return "reading the forge's answer panicked; fedsync's log has the details: " + e.what
}

// Survive calls a provider and returns a panic in it as an error, so that no answer of a
// forge can end the process. The stack goes to the log.
func Survive(log *zap.Logger, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			wrong := &PanicError{what: untrusted.Textf("%v", p).String()}
			log.Error("a provider panicked", zap.Error(wrong), zap.ByteString("stack", debug.Stack()))
			err = wrong
		}
	}()
	return call()
}
