package planner

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// reportConflict reports that a wanted name belongs to another owner's resource.
func (p *planner) reportConflict(w, o gcp.Resource) {
	message := fmt.Sprintf("%s exists and is %s: it is not touched, and nothing is built on it", w.ID, o.Holder())
	if fields := gcp.Differences(w.Spec, o.Spec); len(fields) > 0 {
		message += "; it differs from the wanted resource in " + strings.Join(fields, ", ")
	}
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerConflict, Severity: federation.SeverityError, Message: untrusted.New(message),
		Remedy: untrusted.New("find out what it is for: " + gcloud(w.ID, "describe") + "; if it is not needed: " + gcloud(w.ID, "delete")),
	})
}

// reportTaken reports that a forwarding rule which stays uses the address.
func (p *planner) reportTaken(w, o gcp.Resource) {
	rule, _ := o.Spec.(gcp.Rule)
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerConflict, Severity: federation.SeverityError,
		Message: untrusted.Textf("the address %s is used by %s (port %d), which is %s: two load balancers cannot share an address, and nothing is changed",
			rule.IP, o.ID, rule.Port, o.Holder()),
		Remedy: untrusted.New("name another address in the annotation kubernetes.io/ingress.global-static-ip-name, or remove the other load balancer: " + gcloud(o.ID, "describe")),
	})
}

// reportFixed reports that a resource of ours differs in fields that cannot be changed.
func (p *planner) reportFixed(w, o gcp.Resource, fields []string) {
	message := fmt.Sprintf("%s differs in %s, which cannot be changed in place", w.ID, strings.Join(fields, ", "))
	if by := p.referrers[w.ID]; len(by) > 0 {
		message += "; it is used by " + gcp.IDList(by)
	} else {
		message += "; fedsync does not delete it, because it may carry traffic"
	}
	p.report(o, federation.Finding{
		ID: federation.FindingBalancerFixed, Severity: federation.SeverityError, Message: untrusted.New(message),
		Remedy: untrusted.New("move its traffic elsewhere and delete it; fedsync then creates it as wanted: " + gcloud(w.ID, "delete")),
	})
}

func (p *planner) reportMissing(w gcp.Resource) {
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerMissing, Severity: federation.SeverityError,
		Message: untrusted.Textf("%s does not exist", w.ID),
		Remedy:  untrusted.New("create it (" + gcloud(w.ID, "create") + "), or correct the annotation that names it"),
	})
}

// reportUnusable reports a reference to a resource that does not exist and that fedsync
// does not create. Other findings report all other cases.
func (p *planner) reportUnusable(w gcp.Resource, ref gcp.ID) {
	if _, wanted := p.want.Resources[ref]; wanted || !p.is.Complete[ref.Kind] {
		return
	}
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerMissing, Severity: federation.SeverityError,
		Message: untrusted.Textf("%s needs %s, which does not exist or is not fedsync's", w.ID, ref),
		Remedy:  untrusted.Const("create it, or correct the annotation that names it"),
	})
}

func (p *planner) reportUntagged(w gcp.Resource) {
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerUntagged, Severity: federation.SeverityError,
		Message: untrusted.Textf("%s would have no target tags, and so admit traffic to every machine of the network: it is left unchanged", w.ID),
		Remedy:  untrusted.Const("give all nodes of a cluster one network tag, or list their tags under gcp.tags in fedsync.yaml"),
	})
}

func (p *planner) reportInUse(o, by gcp.Resource) {
	p.report(o, federation.Finding{
		ID: federation.FindingBalancerInUse, Severity: federation.SeverityWarning,
		Message: untrusted.Textf("%s is left over and cannot be deleted: it is used by %s, which is %s", o.ID, by.ID, by.Holder()),
		Remedy:  untrusted.New("make its user refer to something else, or delete the user; fedsync then deletes the left-over: " + gcloud(by.ID, "describe")),
	})
}

// report adds a finding about a resource, with the app and file of its Ingress.
func (p *planner) report(r gcp.Resource, f federation.Finding) {
	f.Object = federation.ObjectRef{Group: "compute", Kind: apiKind(r.ID.Kind), Namespace: r.ID.Zone, Name: r.ID.Name}
	for _, b := range p.want.Balancers {
		if r.Mark.Ingress != "" && gcp.RefText(b.Ingress) == r.Mark.Ingress {
			f.App, f.File = b.App, b.File
		}
	}
	p.findings = append(p.findings, f)
}

// apiKind returns Compute Engine's own name of the kind.
func apiKind(k gcp.Kind) string {
	switch k {
	case gcp.KindAddress:
		return "Address"
	case gcp.KindFirewall:
		return "Firewall"
	case gcp.KindHealthCheck:
		return "HealthCheck"
	case gcp.KindGroup:
		return "NetworkEndpointGroup"
	case gcp.KindService:
		return "BackendService"
	case gcp.KindURLMap:
		return "UrlMap"
	case gcp.KindCertificate:
		return "SslCertificate"
	case gcp.KindHTTPProxy:
		return "TargetHttpProxy"
	case gcp.KindHTTPSProxy:
		return "TargetHttpsProxy"
	case gcp.KindRule:
		return "ForwardingRule"
	}
	return "Resource"
}

// gcloud returns the command that applies the verb to a resource.
func gcloud(id gcp.ID, verb string) string {
	noun, scope := "", " --global"
	switch id.Kind {
	case gcp.KindAddress:
		noun = "addresses"
	case gcp.KindFirewall:
		noun, scope = "firewall-rules", ""
	case gcp.KindHealthCheck:
		noun = "health-checks"
	case gcp.KindGroup:
		noun, scope = "network-endpoint-groups", " --zone "+id.Zone
	case gcp.KindService:
		noun = "backend-services"
	case gcp.KindURLMap:
		noun = "url-maps"
	case gcp.KindCertificate:
		noun = "ssl-certificates"
	case gcp.KindHTTPProxy:
		noun = "target-http-proxies"
	case gcp.KindHTTPSProxy:
		noun = "target-https-proxies"
	case gcp.KindRule:
		noun = "forwarding-rules"
	}
	return "gcloud compute " + noun + " " + verb + " " + id.Name + scope
}
