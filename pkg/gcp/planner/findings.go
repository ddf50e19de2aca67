package planner

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// reportConflict says that what stands under a wanted name is not ours.
func (p *planner) reportConflict(w, o gcp.Resource) {
	message := fmt.Sprintf("%s exists and is %s: it is not touched, and nothing is built on it", w.ID, o.Holder())
	if fields := gcp.Differences(w.Spec, o.Spec); len(fields) > 0 {
		message += "; it differs from what is wanted in " + strings.Join(fields, ", ")
	}
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerConflict, Severity: federation.SeverityError, Message: untrusted.New(message),
		Remedy: untrusted.New("see what it is for: " + gcloud(w.ID, "describe") + "; if nobody needs it: " + gcloud(w.ID, "delete")),
	})
}

// reportTaken says that a forwarding rule that is not to go has the address.
func (p *planner) reportTaken(w, o gcp.Resource) {
	rule, _ := o.Spec.(gcp.Rule)
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerConflict, Severity: federation.SeverityError,
		Message: untrusted.Textf("the address %s is used by %s (port %d), which is %s: two load balancers cannot share an address, and nothing is changed",
			rule.IP, o.ID, rule.Port, o.Holder()),
		Remedy: untrusted.New("name another address in the annotation kubernetes.io/ingress.global-static-ip-name, or remove the other load balancer: " + gcloud(o.ID, "describe")),
	})
}

// reportFixed says that a resource of ours differs in what cannot be changed.
func (p *planner) reportFixed(w, o gcp.Resource, fields []string) {
	message := fmt.Sprintf("%s differs in %s, which cannot be changed in place", w.ID, strings.Join(fields, ", "))
	if by := p.referrers[w.ID]; len(by) > 0 {
		message += "; it is used by " + gcp.IDList(by)
	} else {
		message += "; it is not deleted, since traffic may come by it"
	}
	p.report(o, federation.Finding{
		ID: federation.FindingBalancerFixed, Severity: federation.SeverityError, Message: untrusted.New(message),
		Remedy: untrusted.New("when its traffic has moved elsewhere, delete it, and it is made as wanted: " + gcloud(w.ID, "delete")),
	})
}

func (p *planner) reportMissing(w gcp.Resource) {
	p.report(w, federation.Finding{
		ID: federation.FindingBalancerMissing, Severity: federation.SeverityError,
		Message: untrusted.Textf("%s does not exist", w.ID),
		Remedy:  untrusted.New("create it (" + gcloud(w.ID, "create") + "), or correct the annotation that names it"),
	})
}

// reportUnusable speaks only of what no other finding speaks of: a resource that is
// pointed at and that nobody makes.
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
		Message: untrusted.Textf("%s would have no target tags, and so let traffic in to every machine of the network: it is left as it is", w.ID),
		Remedy:  untrusted.Const("give the nodes a network tag that all of a cluster's have, or name their tags under gcp.tags in fedsync.yaml"),
	})
}

func (p *planner) reportInUse(o, by gcp.Resource) {
	p.report(o, federation.Finding{
		ID: federation.FindingBalancerInUse, Severity: federation.SeverityWarning,
		Message: untrusted.Textf("%s is left over and cannot be deleted: it is used by %s, which is %s", o.ID, by.ID, by.Holder()),
		Remedy:  untrusted.New("point that elsewhere, or delete it, and the left-over is removed: " + gcloud(by.ID, "describe")),
	})
}

// report adds a finding on a resource, with the Ingress's app and file.
func (p *planner) report(r gcp.Resource, f federation.Finding) {
	f.Object = federation.ObjectRef{Group: "compute", Kind: apiKind(r.ID.Kind), Namespace: r.ID.Zone, Name: r.ID.Name}
	for _, b := range p.want.Balancers {
		if r.Mark.Ingress != "" && gcp.RefText(b.Ingress) == r.Mark.Ingress {
			f.App, f.File = b.App, b.File
		}
	}
	p.findings = append(p.findings, f)
}

// apiKind is the kind in the words of Compute Engine.
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

// gcloud is the command that does something with a resource.
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
