package diagnose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

const secretType = "kubernetes.io/tls"

// shown is where clients may meet one certificate or another: a Secret of an Ingress
// that is at the same hosts behind the same address in several clusters.
type shown struct {
	secret, ingress federation.ObjectRef
	hosts           string
}

func (s shown) compare(o shown) int {
	return cmp.Or(s.secret.Compare(o.secret), s.ingress.Compare(o.ingress), strings.Compare(s.hosts, o.hosts))
}

// tls are the certificates that are shown there.
type tls struct {
	app, file string
	clusters  map[string][]string // by the certificate's digest
	// old says that every Ingress was there for the grace, and fresh that one of the
	// clusters comes into sight only now.
	old, fresh bool
}

// certificates looks at the Secrets that Ingresses name: each must be there, and
// hold the same certificate wherever Google's controller shares an address, or
// fedsync's load balancer is in front: it shows one or another. Elsewhere each cluster may have its own.
func (x *diagnosis) certificates() {
	all := map[shown]*tls{}
	for _, m := range x.seen() {
		usable := map[federation.ObjectRef]bool{}
		for _, i := range m.ingresses {
			for _, name := range i.ingress.secrets {
				ref := federation.ObjectRef{Kind: "Secret", Namespace: i.Ref.Namespace, Name: name}
				c, known := m.certificate(ref)
				if !known {
					continue
				}
				if _, looked := usable[ref]; !looked {
					usable[ref] = x.usable(m, i, ref, c)
				}
				if !usable[ref] || c.Digest == "" {
					continue
				}
				if served := m.controller(i); !served.google && !served.ours {
					continue
				}
				at := shown{ref, i.Ref, i.ingress.hosts}
				s := all[at]
				if s == nil {
					s = &tls{app: i.app, file: i.File, clusters: map[string][]string{}, old: true}
					all[at] = s
				}
				s.clusters[c.Digest] = append(s.clusters[c.Digest], m.name)
				s.old = s.old && x.old(m.observation(i.Ref).Created)
				s.fresh = s.fresh || m.fresh
			}
		}
	}
	said := map[federation.ObjectRef]bool{}
	for _, at := range slices.SortedFunc(maps.Keys(all), shown.compare) {
		if len(all[at].clusters) > 1 && !said[at.secret] {
			said[at.secret] = true
			x.differingCertificates(at, all[at])
		}
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
		ID: federation.FindingCertificate, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref, File: i.File,
	}
	switch {
	case !c.Exists && (m.plans(ref) || m.withheld[ref]):
		return false // it is on its way
	case !c.Exists:
		f.Message = untrusted.Textf("is missing; %s names it under spec.tls", i.Ref)
		f.Remedy = untrusted.New(m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name))
		x.await(f, x.seasoned(m, m.observation(i.Ref).Created)) // who issues certificates needs a moment
		return false
	case c.Type != secretType:
		f.Message = untrusted.Textf("is of type %q; %s names it under spec.tls, which takes %s", untrusted.Line(c.Type), i.Ref, secretType)
		f.Remedy = untrusted.New(m.retype(ref))
		x.add(f)
		return false
	}
	return true
}

// retype says how a Secret gets the type that an Ingress takes. A type cannot be
// changed, and one that Git has would be made as it was.
func (m *member) retype(ref federation.ObjectRef) string {
	if p := m.plannedAs(ref); p != nil {
		return fmt.Sprintf("make it of type %s in %s, under another name there and in spec.tls, as the type of a Secret that exists cannot be changed",
			secretType, p.File)
	}
	return "make it anew, as its type cannot be changed: " +
		m.kubectl("-n %s delete secret %s", ref.Namespace, ref.Name) + " && " +
		m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name)
}

// differingCertificates waits for a renewal to reach every cluster.
func (x *diagnosis) differingCertificates(at shown, s *tls) {
	short := make(map[string][]string, len(s.clusters))
	for digest, names := range s.clusters {
		label := "certificate " + untrusted.Line(digest[:min(12, len(digest))])
		short[label] = append(short[label], names...)
	}
	x.await(federation.Finding{
		ID: federation.FindingCertificate, Severity: federation.SeverityError, App: s.app, Object: at.secret, File: s.file,
		Message: untrusted.List(fmt.Sprintf("holds different certificates, while clients of %s reach any cluster: ", at.ingress), rows(short), "; "),
		Remedy:  untrusted.Const("put the same certificate into every cluster, from the repository or by whoever issues it"),
	}, s.old && s.fresh)
}
