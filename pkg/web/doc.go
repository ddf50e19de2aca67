// Package web serves what fedsync knows over HTTP: a page for users, JSON for programs,
// metrics for Prometheus, and an endpoint for a forge's webhooks. An answer that takes
// work is made once for all who ask for it.
//
// The input is functions that return the newest status.Report and those of earlier
// revisions; the output is an http.Handler. Everything is read-only: the most that a
// request can do is to have the repository polled earlier. Subjects, messages, hosts,
// annotations and errors come from repositories and clusters, so they are treated as
// text everywhere: no address in them becomes a link, and the page runs no script.
//
// The loop in package daemon makes the reports, and package status decides what they
// contain. Package page turns them into HTML, package metrics counts, and package gate
// is between the handler and the network.
package web
