package balancer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer/readiness"
)

// maxGroups is the API's limit on the groups of a backend service.
const maxGroups = 50

// servicePort is one port of one Service over all clusters. It has one backend service.
type servicePort struct {
	key     string // "default/nginx:80"
	service federation.ObjectRef
	number  int32
	fronts  []*front // that lead to it
	// shared is set if a held load balancer may lead to it too, from clusters that are
	// not known.
	shared bool

	id, checkID gcp.ID
	check       gcp.HealthCheck

	// Set by compose.
	groups   map[string][]gcp.Resource // wanted, by cluster, sorted
	held     map[string][]gcp.ID       // groups that are left unchanged, by cluster
	joined   map[string]bool           // clusters whose nodes take traffic
	backends map[gcp.ID]gcp.Backend
	mark     gcp.Mark
	observed gcp.Service
	exists   bool
}

// users returns the active fronts that lead to the port.
func (p *servicePort) users() []*front {
	var users []*front
	for _, f := range p.fronts {
		if f.active() {
			users = append(users, f)
		}
	}
	return users
}

// placed reports whether a front that leads to the port is placed in the cluster.
func (p *servicePort) placed(cluster string) bool {
	return slices.ContainsFunc(p.fronts, func(f *front) bool { return slices.Contains(f.clusters, cluster) })
}

// sortedPorts returns the Service ports that active fronts lead to.
func (b *builder) sortedPorts() []*servicePort {
	var ports []*servicePort
	for _, key := range slices.Sorted(maps.Keys(b.ports)) {
		if p := b.ports[key]; len(p.users()) > 0 {
			ports = append(ports, p)
		}
	}
	return ports
}

// judgePorts decides which Service ports can be behind a load balancer, and refuses the
// fronts of those that cannot.
func (b *builder) judgePorts() {
	for _, p := range b.sortedPorts() {
		b.judgePort(p)
	}
	for _, f := range b.fronts {
		if f.active() {
			continue
		}
		for _, id := range b.observedServices(f) {
			if p := b.ports[b.seen.Resources[id].Mark.Service]; p != nil {
				p.shared = true
			}
		}
	}
	for _, c := range b.clusters {
		b.readNodes(c)
	}
	for _, p := range b.sortedPorts() {
		b.compose(p)
		if n := len(p.backends) + len(p.observed.Extra); n > maxGroups {
			for _, f := range p.users() {
				b.refuse(f, federation.FindingBalancer, "", fmt.Sprintf("port %d of %s would have %d endpoint groups; Google Cloud allows %d", p.number, p.service, n, maxGroups),
					"place the Ingress in fewer clusters (clusterSelector), or use clusters with fewer zones")
			}
		}
	}
}

// judgePort reads the Service in every cluster.
func (b *builder) judgePort(p *servicePort) {
	decided, waits := false, ""
	var checks []gcp.HealthCheck
	var asked []string // the cluster of each check
	for _, c := range b.clusters {
		if !c.member || !p.placed(c.name) {
			continue
		}
		service, port, ok := b.judgeService(p, c)
		if !ok {
			waits = cmp.Or(waits, c.withheld[p.service].Reason)
			continue
		}
		decided = decided || port.NodePort > 0
		found, err := readiness.Of(c.templates(service), port)
		if err != nil {
			b.refuseUsers(p, federation.FindingProbe, c.name, err.Error(), "correct the readiness probe")
			continue
		}
		for _, check := range found {
			checks, asked = append(checks, check), append(asked, c.name)
		}
	}
	b.agreeOnCheck(p, checks, asked)
	if !decided {
		b.awaitNodePort(p, waits)
	}
	p.id = b.portID(p, gcp.KindService)
	p.checkID = b.portID(p, gcp.KindHealthCheck, p.check.Protocol)
}

func (b *builder) refuseUsers(p *servicePort, id, cluster, message, remedy string) {
	for _, f := range p.users() {
		b.refuse(f, id, cluster, message, remedy)
	}
}

// judgeService returns the Service of a port in one cluster, and the port; false if the
// cluster has no such port.
func (b *builder) judgeService(p *servicePort, c *clusterView) (*corev1.Service, corev1.ServicePort, bool) {
	service, err := b.service(c, p.service)
	if err != nil {
		if _, withheld := c.withheld[p.service]; !withheld {
			for _, f := range p.users() {
				b.warn(f, federation.SeverityError, federation.FindingBackend, c.name, fmt.Sprintf("%s is not placed in cluster %s, so the cluster takes no traffic", p.service, c.name),
					"place the Service wherever the Ingress is placed")
			}
		}
		return nil, corev1.ServicePort{}, false
	}
	for _, key := range slices.Sorted(maps.Keys(lossesOfService)) {
		if service.Annotations[key] != "" {
			b.refuseUsers(p, federation.FindingBalancer, "", lossMessage(" of "+p.service.String(), key, lossesOfService[key]), lossRemedy(key))
		}
	}
	if why := unreachable(service); why != "" {
		b.refuseUsers(p, federation.FindingBalancer, "", fmt.Sprintf("%s %s: it has no node port that a load balancer could reach", p.service, why),
			"set spec.type: NodePort for the Service")
		return nil, corev1.ServicePort{}, false
	}
	for _, port := range service.Spec.Ports {
		if port.Port == p.number && (port.Protocol == "" || port.Protocol == corev1.ProtocolTCP) {
			return service, port, true
		}
	}
	b.refuseUsers(p, federation.FindingBackend, c.name, fmt.Sprintf("%s has no TCP port %d in cluster %s", p.service, p.number, c.name),
		"name a port of the Service under spec.rules or spec.defaultBackend")
	return nil, corev1.ServicePort{}, false
}

// unreachable returns why a Service has no node port; empty if it has one.
func unreachable(s *corev1.Service) string {
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return "is of type ExternalName"
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return "is headless"
	case s.Spec.Type == corev1.ServiceTypeNodePort:
		return ""
	case s.Spec.Type == corev1.ServiceTypeLoadBalancer:
		if allocate := s.Spec.AllocateLoadBalancerNodePorts; allocate != nil && !*allocate {
			return "is of type LoadBalancer without node ports"
		}
		return ""
	}
	return "is of type ClusterIP"
}

// agreeOnCheck sets the health check that all clusters share, or refuses the port.
func (b *builder) agreeOnCheck(p *servicePort, checks []gcp.HealthCheck, clusters []string) {
	p.check = readiness.Default
	if len(checks) == 0 {
		return
	}
	p.check = checks[0]
	for i, check := range checks {
		if check == p.check {
			continue
		}
		where := fmt.Sprintf("between clusters %s and %s", clusters[0], clusters[i])
		if clusters[0] == clusters[i] {
			where = "between workloads of cluster " + clusters[i]
		}
		b.refuseUsers(p, federation.FindingProbe, clusters[i],
			fmt.Sprintf("the readiness probes of the pods behind %s differ %s: there is one health check for all", p.service, where),
			"make path, port, scheme and times of the readiness probes equal")
		return
	}
}

// awaitNodePort makes the fronts of a port wait until its node port is known: a load
// balancer is built complete or not at all.
func (b *builder) awaitNodePort(p *servicePort, withheld string) {
	for _, d := range b.in.Plan.Ports {
		if withNamespace(d.Service) != p.service || d.Port != p.number || d.NodePort != 0 {
			continue
		}
		if d.Basis == federation.PortRefused {
			b.refuseUsers(p, federation.FindingBalancer, "", fmt.Sprintf("port %d of %s has no node port: %s", p.number, p.service, d.Reason), "choose another node port")
			return
		}
		withheld = cmp.Or(withheld, d.Reason)
	}
	for _, f := range p.users() {
		f.wait(fmt.Sprintf("waits for the node port of %s: %s", p.service, cmp.Or(withheld, "it is not decided yet")))
	}
}

func (b *builder) portID(p *servicePort, kind gcp.Kind, more ...string) gcp.ID {
	readable := fmt.Sprintf("%s-%s-%d", p.service.Namespace, p.service.Name, p.number)
	return gcp.ID{Kind: kind, Name: gcp.ResourceName(b.owner, kind, readable, append([]string{p.key}, more...)...)}
}

// nodePort returns the node port of a Service port in a cluster; 0 if the plan has none.
func (b *builder) nodePort(p *servicePort, c *clusterView) int32 {
	service, err := b.service(c, p.service)
	if err != nil {
		return 0
	}
	for _, port := range service.Spec.Ports {
		if port.Port == p.number && (port.Protocol == "" || port.Protocol == corev1.ProtocolTCP) {
			return port.NodePort
		}
	}
	return 0
}

// wantPorts wants the resources of the Service ports: health checks, groups and backend
// services.
func (b *builder) wantPorts() {
	for _, p := range b.sortedPorts() {
		b.add(p.checkID, gcp.Mark{Service: p.key}, p.check)
		for _, groups := range p.groups {
			for _, g := range groups {
				b.want.Resources[g.ID] = g
			}
		}
		for cluster, ids := range p.held {
			for _, id := range ids {
				b.hold(id, cmp.Or(b.byName[cluster].blind, "none of its nodes takes traffic now"))
			}
		}
		b.add(p.id, p.mark, gcp.Service{
			Protocol: "HTTP", HealthCheck: p.checkID, Timeout: answerTimeout, Drain: DrainSeconds,
			Backends: slices.SortedFunc(maps.Values(p.backends), func(x, y gcp.Backend) int { return x.Group.Compare(y.Group) }),
		})
	}
}
