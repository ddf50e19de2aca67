package secret

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Logger returns a logger that removes the secrets from each line.
func (s *Set) Logger(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return &cleanCore{core, s} }))
}

type cleanCore struct {
	zapcore.Core
	secrets *Set
}

// With implements zapcore.Core.
func (c *cleanCore) With(fields []zapcore.Field) zapcore.Core {
	return &cleanCore{c.Core.With(c.clean(fields)), c.secrets}
}

// Check implements zapcore.Core.
func (c *cleanCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *cleanCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Message = c.secrets.Clean(e.Message)
	return c.Core.Write(e, c.clean(fields))
}

func (c *cleanCore) clean(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		switch f.Type { //nolint:exhaustive // the others are numbers
		case zapcore.StringType:
			f.String = c.secrets.Clean(f.String)
		case zapcore.ErrorType:
			if err, ok := f.Interface.(error); ok {
				f.Interface = c.secrets.Error(err)
			}
		case zapcore.StringerType:
			if v, ok := f.Interface.(fmt.Stringer); ok {
				f = zap.String(f.Key, c.secrets.Clean(v.String()))
			}
		case zapcore.ReflectType, zapcore.ByteStringType:
			f = zap.String(f.Key, c.secrets.Clean(fmt.Sprint(f.Interface)))
		}
		out[i] = f
	}
	return out
}
