package gcp

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Mark says whose a resource is, and what for. It stands as JSON in the
// description; a name proves nothing.
type Mark struct {
	Federation string `json:"fedsync"` // the federation's name
	Source     string `json:"source"`  // digest of repository, ref and path
	// Ingress, as a reference, is whose load balancer the resource is part of; empty
	// for what several share: the firewall rule, and groups and backend services,
	// which belong to a Service.
	Ingress string `json:"ingress,omitempty"`
	Service string `json:"service,omitempty"` // "default/nginx:80", with the port's name or number
	Cluster string `json:"cluster,omitempty"` // of a group
	// NodePort is the port of a group's endpoints, and Secret, as "namespace/name",
	// what a certificate was made of.
	NodePort int32  `json:"nodePort,omitempty"`
	Secret   string `json:"secret,omitempty"`
	// Content is the digest of what a certificate was made of.
	Content string `json:"content,omitempty"`
	// Draining says since when a cluster's backends have no capacity, by cluster;
	// Rated when rates were last changed. Both on backend services.
	Draining map[string]time.Time `json:"draining,omitempty"`
	Rated    time.Time            `json:"rated,omitzero"`
}

// Owner is who may change what bears a mark.
type Owner struct{ Federation, Source string }

// Owns reports whether the mark is the owner's.
func (o Owner) Owns(m Mark) bool {
	return m.Federation != "" && m.Federation == o.Federation && m.Source == o.Source
}

// MaxDescription is how long a description may be, by the API.
const MaxDescription = 2048

// Text is the description that holds the mark.
func (m Mark) Text() string {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and times
	}
	return string(data)
}

// ReadMark reads a description. What is not ours gives a zero Mark.
func ReadMark(description string) Mark {
	var m Mark
	if len(description) > MaxDescription || json.Unmarshal([]byte(description), &m) != nil || m.Federation == "" {
		return Mark{}
	}
	for _, text := range []string{m.Federation, m.Source, m.Ingress, m.Service, m.Cluster, m.Secret, m.Content} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return Mark{} // fedsync writes no such thing, and these are shown
		}
	}
	return m
}

// RefText is how a mark names an object.
func RefText(ref federation.ObjectRef) string { return ref.String() }
