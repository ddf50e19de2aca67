package untrusted

import (
	"regexp"
	"strings"
)

// URL returns a repository's URL without possible credentials, for logs and pages.
// It rather hides too much: it masks everything before the last @ of an http URL,
// since an unescaped password may itself contain slashes, colons and further @, and
// masks query and fragment. It leaves the user of an ssh URL, and masks a password.
// A URL without any of these, and a local path, are unchanged.
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

// plainUser matches an ssh user, but not a user with a password.
var plainUser = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// scp is URL for [user@]host:path. A local path may contain an @ too; it is a path
// if a slash comes first.
func scp(repository string) string {
	at := strings.LastIndexByte(repository, '@')
	if at < 0 || plainUser.MatchString(repository[:at]) || strings.HasPrefix(repository, "/") || strings.HasPrefix(repository, ".") {
		return repository
	}
	return mask + "@" + repository[at+1:]
}
