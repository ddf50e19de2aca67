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

// shown is where clients may get one certificate or another: a Secret of an Ingress that
// has the same hosts and the same address in several clusters.
type shown struct {
	secret, ingress federation.ObjectRef
	hosts           string
}

func (s shown) compare(o shown) int {
	return cmp.Or(s.secret.Compare(o.secret), s.ingress.Compare(o.ingress), strings.Compare(s.hosts, o.hosts))
}

// tls holds the certificates that clients may get there.
type tls struct {
	app, file string
	clusters  map[string][]string // by the certificate's digest
	// old reports that every Ingress is older than the grace, and fresh that one of the
	// clusters has just become readable.
	old, fresh bool
}

// certificates checks the Secrets that Ingresses name. Each must exist. It must hold the
// same certificate in all clusters that share an address by Google's controller or
// fedsync's load balancer, since clients may get any of them. Other clusters may each have
// their own certificate.
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
				if _, checked := usable[ref]; !checked {
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
	reported := map[federation.ObjectRef]bool{}
	for _, at := range slices.SortedFunc(maps.Keys(all), shown.compare) {
		if len(all[at].clusters) > 1 && !reported[at.secret] {
			reported[at.secret] = true
			x.differingCertificates(at, all[at])
		}
	}
}

// certificate returns what is known about a Secret, and reports whether anything is.
func (m *member) certificate(ref federation.ObjectRef) (federation.Certificate, bool) {
	i, ok := slices.BinarySearchFunc(m.facts.Certificates, ref, func(c federation.Certificate, ref federation.ObjectRef) int {
		return cmp.Or(strings.Compare(c.Namespace, ref.Namespace), strings.Compare(c.Name, ref.Name))
	})
	if !ok {
		return federation.Certificate{}, false
	}
	return m.facts.Certificates[i], true
}

// usable reports whether the Secret exists and has the right type. If not, it adds a
// finding.
func (x *diagnosis) usable(m *member, i *planned, ref federation.ObjectRef, c federation.Certificate) bool {
	f := federation.Finding{
		ID: federation.FindingCertificate, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref, File: i.File,
	}
	switch {
	case !c.Exists && (m.plans(ref) || m.withheld[ref]):
		return false // it is about to be created
	case !c.Exists:
		f.Message = untrusted.Textf("is missing; %s names it under spec.tls", i.Ref)
		f.Remedy = untrusted.New(m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name))
		x.await(f, x.seasoned(m, m.observation(i.Ref).Created)) // issuing a certificate takes a moment
		return false
	case c.Type != secretType:
		f.Message = untrusted.Textf("is of type %q; %s names it under spec.tls, which requires %s", untrusted.Line(c.Type), i.Ref, secretType)
		f.Remedy = untrusted.New(m.retype(ref))
		x.add(f)
		return false
	}
	return true
}

// retype returns how a Secret gets the type that an Ingress requires. A type cannot be
// changed, and a Secret in Git would be created again with the old type.
func (m *member) retype(ref federation.ObjectRef) string {
	if p := m.plannedAs(ref); p != nil {
		return fmt.Sprintf("set type %s in %s, and use another name there and in spec.tls, since the type of an existing Secret cannot be changed",
			secretType, p.File)
	}
	return "create it again, since its type cannot be changed: " +
		m.kubectl("-n %s delete secret %s", ref.Namespace, ref.Name) + " && " +
		m.kubectl("-n %s create secret tls %s --cert=tls.crt --key=tls.key", ref.Namespace, ref.Name)
}

// differingCertificates reports differing certificates, after a grace in which a renewal
// may reach every cluster.
func (x *diagnosis) differingCertificates(at shown, s *tls) {
	short := make(map[string][]string, len(s.clusters))
	for digest, names := range s.clusters {
		label := "certificate " + untrusted.Line(digest[:min(12, len(digest))])
		short[label] = append(short[label], names...)
	}
	x.await(federation.Finding{
		ID: federation.FindingCertificate, Severity: federation.SeverityError, App: s.app, Object: at.secret, File: s.file,
		Message: untrusted.List(fmt.Sprintf("holds different certificates, but clients of %s may reach any cluster: ", at.ingress), rows(short), "; "),
		Remedy:  untrusted.Const("put the same certificate into every cluster, from the repository or from its issuer"),
	}, s.old && s.fresh)
}
