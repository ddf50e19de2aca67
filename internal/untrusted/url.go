package untrusted

import (
	"regexp"
	"strings"
)

// URL returns a repository's URL without what may be a credential, fit for logs and
// pages. It prefers to hide too much: whatever stands before the last @ of an http
// URL goes, since a password that was not escaped may itself hold slashes, colons
// and further @; so do query and fragment. The user of an ssh URL stays, its
// password goes. A URL without any of these, and a local path, stay as they are.
func URL(repository string) string {
	scheme, rest, ok := strings.Cut(repository, "://")
	if !ok {
		return scp(repository)
	}
	at := strings.LastIndexByte(rest, '@')
	user := ""
	if at >= 0 {
		if scheme == "ssh" && plainUser.MatchString(rest[:at]) {
			user = rest[:at+1]
		} else {
			user = mask + "@"
		}
		rest = rest[at+1:]
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i] + rest[i:i+1] + mask
	}
	return scheme + "://" + user + rest
}

// plainUser is what an ssh user looks like, and a user with a password does not.
var plainUser = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// scp does for [user@]host:path what URL does for URLs. A local path may hold an @
// too; it is one when a slash comes first.
func scp(repository string) string {
	at := strings.LastIndexByte(repository, '@')
	if at < 0 || plainUser.MatchString(repository[:at]) || strings.HasPrefix(repository, "/") || strings.HasPrefix(repository, ".") {
		return repository
	}
	return mask + "@" + repository[at+1:]
}
