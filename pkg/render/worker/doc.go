// Package worker renders what others wrote in a process of its own, which can be
// bounded and ended.
//
// A Worker has the method of a render.Renderer and starts its own program a second
// time, which Serve turns into a renderer behind two pipes. Kustomize cannot be
// interrupted, takes what memory it wants and was not written for hostile input.
// There it has no environment, no files, no network and no programs; a limit on
// memory that the kernel holds; and its time is kept from outside. When a piece of
// work exceeds a limit, or a newer revision makes it useless, the process is killed
// and another one takes its place, which is told what not to begin again.
//
// The process asks for folders and files as it needs them, and keeps what it knows
// of folders by their digests, so that a push costs it a few questions. Each object
// comes back once, and is checked before it is believed. See wire.go for what is
// said.
package worker
