// Package worker renders untrusted files in a separate process, which can be
// limited and killed.
//
// A Worker has the method of a render.Renderer. It starts its own program a second
// time, which Serve turns into a renderer behind two pipes. Kustomize cannot be
// interrupted, does not limit its memory, and was not written for hostile input. In
// that process it has no environment, no files, no network and no programs. The
// kernel limits its memory, and the parent limits its time. When a piece of work
// exceeds a limit, or a newer revision makes it useless, the process is killed. Its
// replacement is told which work not to begin again.
//
// The process requests folders and files as it needs them, and caches folders by
// their digests, so that a push costs a few requests. It sends each object one
// time; the parent validates it. See wire.go for the protocol.
package worker
