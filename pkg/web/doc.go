// Package web shows what fedsync knows to whoever asks over HTTP: a page for
// people, JSON for programs, metrics for Prometheus, and an endpoint where a
// forge says that somebody pushed. What takes work is made once for all who ask.
//
// In come functions that give the newest status.Report and those of earlier
// revisions; out goes an http.Handler. Everything is read-only: the one thing a
// request can do is to have the repository polled earlier than it would have
// been. Subjects, messages, hosts, annotations and errors are what repositories
// and clusters say, so they are text wherever they appear; no address of theirs
// becomes a link, and the page runs no script.
//
// The loop that makes the reports is in package daemon, and what they say is
// decided in package status. Package page makes HTML of them, package metrics counts,
// and package gate stands between the handler and the network.
package web
