package balancer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// maxCertificates is how many certificates a proxy takes, by the API.
const maxCertificates = 15

// certificates are those of one front.
type certificates struct {
	ids       []gcp.ID       // in the order of the proxy
	resources []gcp.Resource // what of them is to be wanted
}

func (c *certificates) add(r gcp.Resource) {
	if !slices.Contains(c.ids, r.ID) {
		c.ids = append(c.ids, r.ID)
		c.resources = append(c.resources, r)
	}
}

// readCertificates finds the certificates of a front: those that the user made, and
// those of Secrets. Where a Secret gives none, what was made of it before is kept.
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
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("has %d certificates, and Google Cloud allows %d", n, maxCertificates),
			"use certificates for several hosts, or several Ingresses")
	}
}

// preShared are the names of the certificates that the user made.
func preShared(f *front) []string {
	var names []string
	for name := range strings.SplitSeq(f.ingress.Annotations[annotationCertificate], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// readPreShared finds a certificate that the user made.
func (b *builder) readPreShared(f *front, name string) {
	id := gcp.ID{Kind: gcp.KindCertificate, Name: name}
	_, there := b.seen.Resources[id]
	switch {
	case !gcp.ValidName.MatchString(name):
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("%q is no name of a certificate", name), "correct the annotation "+annotationCertificate)
	case !there && !b.seen.Complete[gcp.KindCertificate]:
		f.wait("the certificates of project " + b.in.Federation.GCP.Project + " cannot be read")
	case !there:
		b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("certificate %s does not exist in project %s", name, b.in.Federation.GCP.Project),
			"make it (gcloud compute ssl-certificates create), or correct the annotation "+annotationCertificate)
	}
	f.certs.add(gcp.Resource{ID: id, Spec: gcp.Certificate{}})
}

// readSecret finds the certificate of a Secret.
func (b *builder) readSecret(f *front, secret string) {
	pair, read := b.in.Secrets[secret]
	kept := pair.Digest != "" // an error does not take back what was read before
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
		message := fmt.Sprintf("Secret %s gives no certificate: %s", secret, pair.Error)
		if kept {
			message += "; the certificate that is there stays"
		}
		b.warn(f, federation.SeverityError, federation.FindingCertificate, "", message, "create the same TLS Secret in every cluster of the Ingress")
		return
	}
	if !read && !kept {
		f.wait("waits for Secret " + secret + " to be read")
	}
}

// keepCertificates keeps what the front's proxy shows of a Secret's certificates.
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

// wantFront wants what only one Ingress has: address, URL maps, certificates, proxies
// and forwarding rules.
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

// behind are the clusters that should stand behind a load balancer, sorted: also those
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

// balancer says what the load balancer of a front consists of.
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
