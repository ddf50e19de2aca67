// Package untrusted cleans text that others wrote: clusters, webhooks, forges, cloud
// APIs, and whoever commits to a repository. Such text may hold credentials, steer a
// terminal, pass for a line of ours, or be a gigabyte long. Everything that fedsync
// shows of it, in reports, pages, logs, commit statuses and commands to paste, goes
// through this package, so that what is taken out is decided in one place.
//
// Text is such a text, cleaned; a field of this type holds nothing else. Clean and
// Line make one line without secrets, NewSecrets adds the secrets that the caller
// knows, Visible is for whole pages and terminals, Quote for shells, URL for the
// address of a repository. Some counts what a line has no room for.
package untrusted
