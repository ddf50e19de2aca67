package convert

import (
	"strconv"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// ToCertificate returns the certificate for the API. Only here does the private key leave
// its type.
func ToCertificate(r gcp.Resource, spec gcp.Certificate) *compute.SslCertificate {
	return &compute.SslCertificate{
		Name:        r.ID.Name,
		Description: r.Mark.Text(),
		Type:        "SELF_MANAGED",
		SelfManaged: &compute.SslCertificateSelfManagedSslCertificate{
			Certificate: spec.Chain, PrivateKey: string(spec.Key),
		},
	}
}

// ToHTTPProxy returns the target HTTP proxy for the API.
func ToHTTPProxy(r gcp.Resource, spec gcp.Proxy, project string) *compute.TargetHttpProxy {
	return &compute.TargetHttpProxy{Name: r.ID.Name, Description: r.Mark.Text(), UrlMap: LinkOf(spec.URLMap, project)}
}

// FromHTTPProxy reads a target HTTP proxy of the API.
func FromHTTPProxy(p *compute.TargetHttpProxy, project string) gcp.Proxy {
	return gcp.Proxy{URLMap: idOf(p.UrlMap, project, gcp.KindURLMap)}
}

// ToHTTPSProxy returns the target HTTPS proxy for the API.
func ToHTTPSProxy(r gcp.Resource, spec gcp.Proxy, project string) *compute.TargetHttpsProxy {
	return &compute.TargetHttpsProxy{
		Name: r.ID.Name, Description: r.Mark.Text(),
		UrlMap: LinkOf(spec.URLMap, project), SslCertificates: LinksOf(spec.Certificates, project),
	}
}

// FromHTTPSProxy reads a target HTTPS proxy of the API.
func FromHTTPSProxy(p *compute.TargetHttpsProxy, project string) gcp.Proxy {
	spec := gcp.Proxy{URLMap: idOf(p.UrlMap, project, gcp.KindURLMap)}
	for _, url := range p.SslCertificates {
		spec.Certificates = append(spec.Certificates, idOf(url, project, gcp.KindCertificate))
	}
	if p.CertificateMap != "" {
		// A certificate map overrides the list.
		spec.Certificates = []gcp.ID{{Kind: gcp.KindCertificate, Name: p.CertificateMap}}
	}
	return spec
}

// LinksOf returns the links of several resources.
func LinksOf(ids []gcp.ID, project string) []string {
	var urls []string
	for _, id := range ids {
		urls = append(urls, LinkOf(id, project))
	}
	return urls
}

// ToRule returns the forwarding rule for the API.
func ToRule(r gcp.Resource, spec gcp.Rule, project string) *compute.ForwardingRule {
	address := spec.IP
	if spec.Address.Name != "" {
		address = LinkOf(spec.Address, project)
	}
	port := strconv.Itoa(int(spec.Port))
	return &compute.ForwardingRule{
		Name:                r.ID.Name,
		Description:         r.Mark.Text(),
		IPAddress:           address,
		IPProtocol:          "TCP",
		PortRange:           port + "-" + port,
		Target:              LinkOf(spec.Target, project),
		LoadBalancingScheme: SchemeManaged,
		NetworkTier:         "PREMIUM",
	}
}

// FromRule reads a forwarding rule of the API. Its port is 0 unless it is for a single
// TCP port.
func FromRule(f *compute.ForwardingRule, project string) gcp.Rule {
	spec := gcp.Rule{
		Target: idOf(f.Target, project, gcp.KindHTTPProxy, gcp.KindHTTPSProxy),
		Scheme: f.LoadBalancingScheme,
	}
	if _, ok := ParseLink(f.IPAddress, project); ok {
		spec.Address = idOf(f.IPAddress, project, gcp.KindAddress)
	} else {
		spec.IP = f.IPAddress
	}
	first, last, isRange := strings.Cut(f.PortRange, "-")
	if port, err := strconv.ParseUint(first, 10, 16); err == nil && f.IPProtocol == "TCP" && (!isRange || first == last) {
		spec.Port = int32(port)
	}
	return spec
}

// WithAddress completes a rule that was read: its address from the IP, or its IP from the
// address.
func WithAddress(rule gcp.Rule, addresses []gcp.Resource) gcp.Rule {
	for _, a := range addresses {
		spec, ok := a.Spec.(gcp.Address)
		switch {
		case !ok || spec.IP == "":
		case rule.IP == "" && rule.Address == a.ID:
			rule.IP = spec.IP
		case rule.Address.Name == "" && rule.IP == spec.IP:
			rule.Address = a.ID
		}
	}
	return rule
}
