package gcp

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// maxName is how long a name may be, by the API.
const maxName = 63

// ValidName is what Compute Engine accepts as the name of a resource, and as a
// network tag.
var ValidName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ResourceName returns the name of a resource of the owner's: "fedsync-", the owner's
// digest, a readable part and the digest of the identity, in at most 63 characters.
// Names that were given out exist in projects of users: the same arguments give the
// same name in every version of fedsync.
func ResourceName(o Owner, kind Kind, readable string, identity ...string) string {
	head := "fedsync-" + shortDigest(o.Federation, o.Source)
	tail := shortDigest(append([]string{o.Federation, o.Source, string(kind)}, identity...)...)
	return joinName(head, readable, tail)
}

// FirewallName returns the name of the owner's firewall rule for a network: the n-th
// one, from 0, where its tags do not fit in one rule.
func FirewallName(o Owner, network string, n int) string {
	tail := shortDigest(o.Federation, o.Source, string(KindFirewall), network, strconv.Itoa(n))
	return joinName("fedsync", o.Federation, tail)
}

// Gives reports whether a name is one that fedsync gives to the owner's resources of
// this kind. An address may have any: the user chooses it.
func (o Owner) Gives(id ID) bool {
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

// digestAtEnd is how the names end that fedsync gives.
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

// readablePart reduces text to lower-case letters, digits and single hyphens, in at
// most limit characters, with no hyphen at either end.
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

// shortDigest returns 8 hexadecimal digits of the SHA-256 of the parts, which hold
// no NUL.
func shortDigest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
}
