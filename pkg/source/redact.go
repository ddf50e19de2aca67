package source

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// Redact gives a repository's URL without what may be a credential, fit for
// logs and pages. It prefers to hide too much: whatever stands before the last
// @ of an http URL goes, since a password that was not escaped may itself hold
// slashes, colons and further @; so do query and fragment. The user of an ssh
// URL stays, its password goes. A URL without any of these, and a local path,
// come back as they are.
func Redact(repository string) string {
	scheme, rest, ok := strings.Cut(repository, "://")
	if !ok {
		return redactSCP(repository)
	}
	at := strings.LastIndexByte(rest, '@')
	user := ""
	if at >= 0 {
		if scheme == "ssh" && plainUser.MatchString(rest[:at]) {
			user = rest[:at+1]
		} else {
			user = redacted + "@"
		}
		rest = rest[at+1:]
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i] + rest[i:i+1] + redacted
	}
	return scheme + "://" + user + rest
}

// plainUser is what an ssh user looks like, and a user with a password does not.
var plainUser = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// redactSCP does for [user@]host:path what Redact does for URLs. A local path
// may hold an @ too; it is one when a slash comes first.
func redactSCP(repository string) string {
	at := strings.LastIndexByte(repository, '@')
	if at < 0 || plainUser.MatchString(repository[:at]) || strings.HasPrefix(repository, "/") || strings.HasPrefix(repository, ".") {
		return repository
	}
	return redacted + "@" + repository[at+1:]
}

// urlInText finds URLs within an error message, spaces being their end.
var urlInText = regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s"]+`)

// scrub removes secrets, in every form that HTTP and URLs give them, and the
// credentials of URLs from a message that somebody else wrote.
func scrub(message string, secrets []string) string {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			message = strings.ReplaceAll(message, form, redacted)
		}
	}
	return urlInText.ReplaceAllStringFunc(message, Redact)
}
