package diagnose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

const secretType = "kubernetes.io/tls"

// tls is one Secret that Ingresses of ours name, over the clusters.
type tls struct {
	app, file string
	ingress   federation.ObjectRef
	clusters  map[string][]string // by the certificate's digest
	// old says that every Ingress was there for the grace, and fresh that one of the
	// clusters comes into sight only now.
	old, fresh bool
}

// certificates looks at the Secrets that Ingresses name: each must be there, and
// hold the same certificate everywhere, or the load balancer shows one or another.
func (x *diagnosis) certificates() {
	secrets := map[federation.ObjectRef]*tls{}
	for _, m := range x.seen() {
		looked := map[federation.ObjectRef]bool{}
		for _, i := range m.ingresses {
			for _, name := range i.ingress.secrets {
				ref := federation.ObjectRef{Kind: "Secret", Namespace: i.Ref.Namespace, Name: name}
				c, known := m.certificate(ref)
				if looked[ref] || !known {
					continue
				}
				looked[ref] = true
				if !x.usable(m, i, ref, c) || c.Digest == "" {
					continue
				}
				s := secrets[ref]
				if s == nil {
					s = &tls{app: i.app, file: i.File, ingress: i.Ref, clusters: map[string][]string{}, old: true}
					secrets[ref] = s
				}
				s.clusters[c.Digest] = append(s.clusters[c.Digest], m.name)
				s.old = s.old && x.old(m.observation(i.Ref).Created)
				s.fresh = s.fresh || m.fresh
			}
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(secrets), federation.ObjectRef.Compare) {
		x.differingCertificates(ref, secrets[ref])
	}
}

// certificate gives what is known of a Secret; false where nothing is.
func (m *member) certificate(ref federation.ObjectRef) (federation.Certificate, bool) {
	i, ok := slices.BinarySearchFunc(m.facts.Certificates, ref, func(c federation.Certificate, ref federation.ObjectRef) int {
		return cmp.Or(strings.Compare(c.Namespace, ref.Namespace), strings.Compare(c.Name, ref.Name))
	})
	if !ok {
		return federation.Certificate{}, false
	}
	return m.facts.Certificates[i], true
}

// usable says whether the Secret is there and of the right type, and otherwise
// what is wrong.
func (x *diagnosis) usable(m *member, i *planned, ref federation.ObjectRef, c federation.Certificate) bool {
	f := federation.Finding{
		ID: idCertificate, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref, File: i.File,
	}
	switch {
	case !c.Exists && (m.plans(ref) || m.withheld[ref]):
		return false // it is on its way
	case !c.Exists:
		f.Message = fmt.Sprintf("is missing; %s names it under spec.tls", i.Ref)
		f.Remedy = m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name)
		x.await(f, x.seasoned(m, m.observation(i.Ref).Created)) // who issues certificates needs a moment
		return false
	case c.Type != secretType:
		f.Message = fmt.Sprintf("is of type %q; %s names it under spec.tls, which takes %s", line(c.Type), i.Ref, secretType)
		f.Remedy = "make it anew, as its type cannot be changed: " +
			m.kubectl("-n %s delete secret %s", ref.Namespace, ref.Name) + " && " +
			m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name)
		x.add(f)
		return false
	}
	return true
}

// differingCertificates waits for a renewal to reach every cluster.
func (x *diagnosis) differingCertificates(ref federation.ObjectRef, s *tls) {
	if len(s.clusters) < 2 {
		return
	}
	short := make(map[string][]string, len(s.clusters))
	for digest, names := range s.clusters {
		label := "certificate " + line(digest[:min(12, len(digest))])
		short[label] = append(short[label], names...)
	}
	x.await(federation.Finding{
		ID: idCertificate, Severity: federation.SeverityError, App: s.app, Object: ref, File: s.file,
		Message: fmt.Sprintf("holds different certificates, while clients of %s reach any cluster: %s", s.ingress, table(short)),
		Remedy:  "put the same certificate into every cluster, from the repository or by whoever issues it",
	}, s.old && s.fresh)
}
