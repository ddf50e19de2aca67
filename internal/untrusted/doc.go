// Package untrusted cleans untrusted text: from clusters, webhooks, forges, cloud
// APIs and committers. Such text may contain credentials, control a terminal,
// imitate our own lines, or be a gigabyte long. Everything that fedsync shows of it,
// in reports, pages, logs, commit statuses and commands to paste, goes through this
// package, so that one place decides what is removed.
//
// Text is a cleaned text; a field of this type cannot hold anything else. Clean
// and Line return one line without secrets, NewSecrets adds the secrets that the
// caller knows, Visible is for whole pages and terminals, Quote for shells, URL
// for the address of a repository. Some shortens a list to fit into a line.
package untrusted
