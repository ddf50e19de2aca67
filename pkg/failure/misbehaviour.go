package failure

import (
	"context"
	"fmt"
)

// Misbehaviour means that a server answers as no API server does: with more than one
// ever sends, or with a redirect. The answer is not used, and nothing is concluded from
// it: its class moves no replicas.
type Misbehaviour struct {
	// What describes the behaviour, with numbers: "answers GET /apis with more than 4
	// MiB".
	What string
}

// Misbehaves returns a Misbehaviour whose What is formatted as by fmt.Sprintf.
func Misbehaves(format string, args ...any) *Misbehaviour {
	return &Misbehaviour{What: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (m *Misbehaviour) Error() string { return "the server misbehaves: it " + m.What }

type catcherKey struct{}

// Catching returns a context for one request. If the answer misbehaves, catch is called
// with the description. Clients replace the error of a watch with their own text, so
// this is the only way to know. The caller of Catching decides what follows.
func Catching(ctx context.Context, catch func(*Misbehaviour)) context.Context {
	return context.WithValue(ctx, catcherKey{}, catch)
}

// Caught passes a Misbehaviour to the catch function of the request's context, and
// reports whether there is one.
func Caught(ctx context.Context, m *Misbehaviour) bool {
	catch, ok := ctx.Value(catcherKey{}).(func(*Misbehaviour))
	if ok {
		catch(m)
	}
	return ok
}
