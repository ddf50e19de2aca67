package gcp

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Mark names the owner and the purpose of a resource. It is JSON in the resource's
// description; a name proves nothing.
type Mark struct {
	Federation string `json:"fedsync"` // the federation's name
	Source     string `json:"source"`  // digest of repository, ref and path
	// Ingress is the reference of the Ingress whose load balancer the resource belongs
	// to. It is empty for resources that several share: the firewall rule, and groups
	// and backend services, which belong to a Service.
	Ingress string `json:"ingress,omitempty"`
	Service string `json:"service,omitempty"` // "default/nginx:80", with the port's name or number
	Cluster string `json:"cluster,omitempty"` // of a group
	// NodePort is the port of a group's endpoints. Secret is the "namespace/name" that
	// a certificate was made from.
	NodePort int32  `json:"nodePort,omitempty"`
	Secret   string `json:"secret,omitempty"`
	// Content is the digest of the Secret's certificate and key.
	Content string `json:"content,omitempty"`
	// Draining holds, by cluster, the time since which its backends have no capacity.
	// Rated is when rates last changed. Both are set on backend services.
	Draining map[string]time.Time `json:"draining,omitempty"`
	Rated    time.Time            `json:"rated,omitzero"`
}

// Owner identifies who may change the resources that bear its mark.
type Owner struct{ Federation, Source string }

// Owns reports whether the mark is the owner's.
func (o Owner) Owns(m Mark) bool {
	return m.Federation != "" && m.Federation == o.Federation && m.Source == o.Source
}

// MaxDescription is the API's limit on the length of a description.
const MaxDescription = 2048

// Text returns the description that holds the mark.
func (m Mark) Text() string {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and times
	}
	return string(data)
}

// ReadMark reads a description. It returns a zero Mark for any text that fedsync did
// not write.
func ReadMark(description string) Mark {
	var m Mark
	if len(description) > MaxDescription || json.Unmarshal([]byte(description), &m) != nil || m.Federation == "" {
		return Mark{}
	}
	for _, text := range []string{m.Federation, m.Source, m.Ingress, m.Service, m.Cluster, m.Secret, m.Content} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return Mark{} // fedsync writes no such text, and users are shown it
		}
	}
	return m
}

// RefText returns the name of an object in a mark.
func RefText(ref federation.ObjectRef) string { return ref.String() }
