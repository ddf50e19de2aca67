package gcp

import (
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Holder describes the apparent owner of the resource.
func (r Resource) Holder() string {
	if m := r.Mark; m.Federation != "" {
		text := "managed by fedsync for federation " + quoted(m.Federation) + " and source " + quoted(m.Source)
		if m.Ingress != "" {
			text += ", for " + quoted(m.Ingress)
		}
		return text
	}
	who := "not fedsync's"
	for _, maker := range []struct{ prefix, name string }{
		{"mci1-", "made by kubemci"},
		{"mci-", "made by GKE's Multi Cluster Ingress"},
		{"k8s-", "made by GKE's Ingress controller"},
		{"k8s1-", "made by GKE's Ingress controller"},
		{"k8s2-", "made by GKE's Ingress controller"},
		{"kubernetes.io/", "made by GKE's Ingress controller"},
	} {
		if hasWord(r.ID.Name, maker.prefix) || hasWord(r.Description, maker.prefix) {
			who = "probably " + maker.name
			break
		}
	}
	if r.Description == "" {
		return who + " (no description)"
	}
	return who + " (description: " + quoted(r.Description) + ")"
}

// hasWord reports whether a word of the text begins with the prefix.
func hasWord(text, prefix string) bool {
	for rest := text; ; {
		i := strings.Index(rest, prefix)
		if i < 0 {
			return false
		}
		if i == 0 || !isNameChar(rest[i-1]) {
			return true
		}
		rest = rest[i+len(prefix):]
		if rest == "" {
			return false
		}
	}
}

func isNameChar(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted quotes untrusted text so that it fits in one line.
func quoted(text string) string {
	return strconv.Quote(untrusted.Clean(text, 240))
}

// IDList returns the first IDs as text, and the number of the others.
func IDList(ids []ID) string {
	var texts []string
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	return untrusted.Some(texts, 3)
}
