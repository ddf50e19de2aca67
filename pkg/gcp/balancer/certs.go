package balancer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// maxCertificates is the API's limit on the certificates of a proxy.
const maxCertificates = 15

// certificates are the certificates of one front.
type certificates struct {
	ids       []gcp.ID       // in the order of the proxy
	resources []gcp.Resource // the same certificates
}

func (c *certificates) add(r gcp.Resource) {
	if !slices.Contains(c.ids, r.ID) {
		c.ids = append(c.ids, r.ID)
		c.resources = append(c.resources, r)
	}
}

// readCertificates finds the certificates of a front: those that the user created, and
// those from Secrets. If a Secret yields none, its previous certificates remain.
func (b *builder) readCertificates(f *front) {
	for _, name := range preShared(f) {
		b.readPreShared(f, name)
	}
	for _, tls := range f.ingress.Spec.TLS {
		if tls.SecretName != "" {
			b.readSecret(f, f.ref.Namespace+"/"+tls.SecretName)
		}
	}
	if n := len(f.certs.ids); n > maxCertificates {
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("has %d certificates; Google Cloud allows %d", n, maxCertificates),
			"use certificates for several hosts, or several Ingresses")
	}
}

// preShared returns the names of the certificates that the user created.
func preShared(f *front) []string {
	var names []string
	for name := range strings.SplitSeq(f.ingress.Annotations[annotationCertificate], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// readPreShared finds a certificate that the user created.
func (b *builder) readPreShared(f *front, name string) {
	id := gcp.ID{Kind: gcp.KindCertificate, Name: name}
	_, there := b.seen.Resources[id]
	switch {
	case !gcp.ValidName.MatchString(name):
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("%q is not a valid certificate name", name), "correct the annotation "+annotationCertificate)
	case !there && !b.seen.Complete[gcp.KindCertificate]:
		f.wait("the certificates of project " + b.in.Federation.GCP.Project + " cannot be read")
	case !there:
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("certificate %s does not exist in project %s", name, b.in.Federation.GCP.Project),
			"create it (gcloud compute ssl-certificates create), or correct the annotation "+annotationCertificate)
	}
	f.certs.add(gcp.Resource{ID: id, Spec: gcp.Certificate{}})
}

// readSecret finds the certificate from a Secret.
func (b *builder) readSecret(f *front, secret string) {
	pair, read := b.in.Secrets[secret]
	kept := pair.Digest != "" // an error does not remove what was read before
	if kept {
		id := gcp.ID{Kind: gcp.KindCertificate, Name: gcp.ResourceName(b.owner, gcp.KindCertificate, strings.ReplaceAll(secret, "/", "-"),
			gcp.RefText(f.ref), secret, pair.Digest)}
		f.certs.add(gcp.Resource{
			ID: id,
			Mark: gcp.Mark{
				Federation: b.owner.Federation, Source: b.owner.Source,
				Ingress: gcp.RefText(f.ref), Secret: secret, Content: pair.Digest,
			},
			Spec: gcp.Certificate{Chain: pair.Chain, Key: pair.Key},
		})
	} else {
		kept = b.keepCertificates(f, secret)
	}
	if pair.Error != "" {
		message := fmt.Sprintf("Secret %s has no usable certificate: %s", secret, pair.Error)
		if kept {
			message += "; the current certificate stays in use"
		}
		b.warn(f, federation.SeverityError, federation.FindingCertificate, "", message, "create the same TLS Secret in every cluster of the Ingress")
		return
	}
	if !read && !kept {
		f.wait("waits for Secret " + secret + " to be read")
	}
}

// keepCertificates retains those certificates of the front's proxy that came from a
// Secret, and reports whether there are any.
func (b *builder) keepCertificates(f *front, secret string) bool {
	proxy, ok := ownSpec[gcp.Proxy](b, b.frontID(f, gcp.KindHTTPSProxy, ""))
	if !ok {
		return false
	}
	kept := false
	for _, id := range proxy.Certificates {
		r, there := b.seen.Resources[id]
		if there && b.owner.Owns(r.Mark) && r.Mark.Secret == secret {
			f.certs.add(r)
			kept = true
		}
	}
	return kept
}

// wantFront wants the resources that one Ingress shares with no other: address, URL
// maps, certificates, proxies and forwarding rules.
func (b *builder) wantFront(f *front) {
	b.wantAddress(f)
	main := b.wantMap(f)
	balancer := b.balancer(f)
	if f.http {
		leads := main
		if f.ingress.Annotations[annotationRedirect] == "true" {
			leads = b.frontID(f, gcp.KindURLMap, "redirect")
			b.add(leads, b.frontMark(f), gcp.URLMap{Default: gcp.Target{HTTPS: true}})
		}
		proxy := b.frontID(f, gcp.KindHTTPProxy, "")
		b.add(proxy, b.frontMark(f), gcp.Proxy{URLMap: leads})
		balancer.Rules = append(balancer.Rules, b.wantRule(f, proxy, 80))
	}
	if f.https {
		for _, r := range f.certs.resources {
			b.want.Resources[r.ID] = r
		}
		proxy := b.frontID(f, gcp.KindHTTPSProxy, "")
		b.add(proxy, b.frontMark(f), gcp.Proxy{URLMap: main, Certificates: f.certs.ids})
		balancer.Rules = append(balancer.Rules, b.wantRule(f, proxy, 443))
	}
	b.want.Balancers = append(b.want.Balancers, balancer)
}

// wantRule wants the forwarding rule for a port and returns its ID.
func (b *builder) wantRule(f *front, proxy gcp.ID, port int32) gcp.ID {
	id := b.frontID(f, gcp.KindRule, fmt.Sprint(port))
	address, _ := b.seen.Resources[f.address].Spec.(gcp.Address)
	b.add(id, b.frontMark(f), gcp.Rule{Address: f.address, IP: address.IP, Port: port, Target: proxy})
	return id
}

// behind returns the clusters that should be behind a load balancer, sorted, with those
// where the Ingress is withheld.
func (b *builder) behind(f *front) []string {
	names := slices.Clone(f.clusters)
	for _, c := range b.clusters {
		if _, withheld := c.withheld[f.ref]; withheld && !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	return names
}

// balancer lists the resources of a front's load balancer.
func (b *builder) balancer(f *front) gcp.Balancer {
	balancer := gcp.Balancer{
		Ingress: f.ref, App: f.app, File: f.file, Address: f.address,
		Clusters: b.behind(f),
		Services: map[string]gcp.ID{}, Groups: map[string][]gcp.ID{}, Refused: f.idle, Waits: f.waits(),
	}
	for key := range f.routes.ports {
		p := b.ports[key]
		balancer.Services[key] = p.id
		for cluster, groups := range p.groups {
			for _, g := range groups {
				balancer.Groups[cluster] = append(balancer.Groups[cluster], g.ID)
			}
		}
		for cluster, ids := range p.held {
			balancer.Groups[cluster] = append(balancer.Groups[cluster], ids...)
		}
	}
	for _, ids := range balancer.Groups {
		slices.SortFunc(ids, gcp.ID.Compare)
	}
	return balancer
}
