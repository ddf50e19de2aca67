package gcp

import (
	"strconv"
	"strings"

	"google.golang.org/api/compute/v1"
)

func toCertificate(r Resource, spec Certificate) *compute.SslCertificate {
	return &compute.SslCertificate{
		Name:        r.ID.Name,
		Description: r.Mark.text(),
		Type:        "SELF_MANAGED",
		SelfManaged: &compute.SslCertificateSelfManagedSslCertificate{
			Certificate: spec.Chain, PrivateKey: string(spec.Key),
		},
	}
}

func toHTTPProxy(r Resource, spec Proxy, project string) *compute.TargetHttpProxy {
	return &compute.TargetHttpProxy{Name: r.ID.Name, Description: r.Mark.text(), UrlMap: linkOf(spec.URLMap, project)}
}

func fromHTTPProxy(p *compute.TargetHttpProxy, project string) Proxy {
	return Proxy{URLMap: idOf(p.UrlMap, project, KindURLMap)}
}

func toHTTPSProxy(r Resource, spec Proxy, project string) *compute.TargetHttpsProxy {
	return &compute.TargetHttpsProxy{
		Name: r.ID.Name, Description: r.Mark.text(),
		UrlMap: linkOf(spec.URLMap, project), SslCertificates: linksOf(spec.Certificates, project),
	}
}

func fromHTTPSProxy(p *compute.TargetHttpsProxy, project string) Proxy {
	spec := Proxy{URLMap: idOf(p.UrlMap, project, KindURLMap)}
	for _, url := range p.SslCertificates {
		spec.Certificates = append(spec.Certificates, idOf(url, project, KindCertificate))
	}
	if p.CertificateMap != "" {
		// A certificate map wins over the list.
		spec.Certificates = []ID{{Kind: KindCertificate, Name: p.CertificateMap}}
	}
	return spec
}

func linksOf(ids []ID, project string) []string {
	var urls []string
	for _, id := range ids {
		urls = append(urls, linkOf(id, project))
	}
	return urls
}

func toRule(r Resource, spec Rule, project string) *compute.ForwardingRule {
	address := spec.IP
	if spec.Address.Name != "" {
		address = linkOf(spec.Address, project)
	}
	port := strconv.Itoa(int(spec.Port))
	return &compute.ForwardingRule{
		Name:                r.ID.Name,
		Description:         r.Mark.text(),
		IPAddress:           address,
		IPProtocol:          "TCP",
		PortRange:           port + "-" + port,
		Target:              linkOf(spec.Target, project),
		LoadBalancingScheme: schemeManaged,
		NetworkTier:         "PREMIUM",
	}
}

// fromRule reads a forwarding rule. One that is not for one TCP port has the port 0.
func fromRule(f *compute.ForwardingRule, project string) Rule {
	spec := Rule{
		Target: idOf(f.Target, project, KindHTTPProxy, KindHTTPSProxy),
		Scheme: f.LoadBalancingScheme,
	}
	if _, ok := parseLink(f.IPAddress, project); ok {
		spec.Address = idOf(f.IPAddress, project, KindAddress)
	} else {
		spec.IP = f.IPAddress
	}
	first, last, isRange := strings.Cut(f.PortRange, "-")
	if port, err := strconv.ParseUint(first, 10, 16); err == nil && f.IPProtocol == "TCP" && (!isRange || first == last) {
		spec.Port = int32(port)
	}
	return spec
}

// withAddress completes a rule that was read: its address by the IP, or the reverse.
func withAddress(rule Rule, addresses []Resource) Rule {
	for _, a := range addresses {
		spec, ok := a.Spec.(Address)
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
