package gcp

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// maxName is the API's limit on the length of a name.
const maxName = 63

// ValidName matches the resource names and network tags that Compute Engine accepts.
var ValidName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ResourceName returns the name of one of the owner's resources: "fedsync-", the
// owner's digest, a readable part and the digest of the identity, in at most 63
// characters. Such names exist in users' projects, so equal arguments must return the
// same name in every version of fedsync.
func ResourceName(o Owner, kind Kind, readable string, identity ...string) string {
	head := "fedsync-" + shortDigest(o.Federation, o.Source)
	tail := shortDigest(append([]string{o.Federation, o.Source, string(kind)}, identity...)...)
	return joinName(head, readable, tail)
}

// FirewallName returns the name of the owner's n-th firewall rule for a network, from
// 0. There is more than one if the tags do not fit in one rule.
func FirewallName(o Owner, network string, n int) string {
	tail := shortDigest(o.Federation, o.Source, string(KindFirewall), network, strconv.Itoa(n))
	return joinName("fedsync", o.Federation, tail)
}

// Generates reports whether a name has the form that fedsync uses for the owner's
// resources of this kind. An address may have any name: the user chooses it.
func (o Owner) Generates(id ID) bool {
	head := "fedsync-" + shortDigest(o.Federation, o.Source)
	switch id.Kind {
	case KindAddress:
		return true
	case KindFirewall:
		head = joinName("fedsync", o.Federation, "00000000")
		head = strings.TrimSuffix(head, "-00000000")
	case KindHealthCheck, KindGroup, KindService, KindURLMap, KindCertificate, KindHTTPProxy, KindHTTPSProxy, KindRule:
	}
	rest, ok := strings.CutPrefix(id.Name, head+"-")
	return ok && digestAtEnd.MatchString("-"+rest)
}

// digestAtEnd matches the end of a name that fedsync generates.
var digestAtEnd = regexp.MustCompile(`-[0-9a-f]{8}$`)

// joinName joins three parts with hyphens and shortens the middle one until the name
// fits.
func joinName(head, readable, tail string) string {
	middle := readablePart(readable, maxName-len(head)-len(tail)-2)
	if middle == "" {
		return head + "-" + tail
	}
	return head + "-" + middle + "-" + tail
}

// readablePart reduces text to at most limit lower-case letters, digits and single
// hyphens, with no hyphen at either end.
func readablePart(text string, limit int) string {
	var b strings.Builder
	hyphen := false
	for _, r := range strings.ToLower(text) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			hyphen = b.Len() > 0
			continue
		}
		if hyphen {
			b.WriteByte('-')
			hyphen = false
		}
		b.WriteRune(r)
		if b.Len() >= limit {
			break
		}
	}
	short := b.String()
	return strings.Trim(short[:min(len(short), limit)], "-")
}

// shortDigest returns 8 hexadecimal digits of the SHA-256 of the parts, which must not
// contain NUL.
func shortDigest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
}
