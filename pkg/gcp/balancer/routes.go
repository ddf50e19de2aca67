package balancer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer/readiness"
)

// routes are where the requests of an Ingress go. Strings are keys of Service ports.
type routes struct {
	ports  map[string]portRef // all ports that are used, by key
	normal string             // the default backend; empty for none
	hosts  []hostRoutes       // sorted by host
}

// hostRoutes are the routes of one host.
type hostRoutes struct {
	host   string
	normal string // for all other paths; empty for the default of the Ingress
	paths  []pathRoute
	known  map[pathRoute]bool // paths without their ports; an Ingress may have thousands
}

type pathRoute struct {
	path   string
	prefix bool
	port   string
}

// portRef is one port of a Service.
type portRef struct {
	service federation.ObjectRef
	number  int32
}

// key returns the port's name in marks: "default/nginx:80".
func (p portRef) key() string {
	return p.service.Namespace + "/" + p.service.Name + ":" + strconv.Itoa(int(p.number))
}

// readRoutes reads the rules of an Ingress.
func (b *builder) readRoutes(f *front) {
	f.routes.ports = map[string]portRef{}
	if !f.active() {
		return
	}
	spec := f.ingress.Spec
	if spec.DefaultBackend != nil {
		f.routes.normal = b.route(f, *spec.DefaultBackend)
	}
	byHost := map[string]*hostRoutes{}
	for _, rule := range spec.Rules {
		host := cmp.Or(strings.ToLower(rule.Host), "*")
		h := byHost[host]
		if h == nil {
			h = &hostRoutes{host: host, known: map[pathRoute]bool{}}
			byHost[host] = h
		}
		if rule.HTTP == nil {
			continue // all requests go to the default backend
		}
		for _, path := range rule.HTTP.Paths {
			b.readPath(f, h, path)
		}
	}
	for _, h := range byHost {
		h.sort()
		f.routes.hosts = append(f.routes.hosts, *h)
	}
	slices.SortFunc(f.routes.hosts, func(x, y hostRoutes) int { return strings.Compare(x.host, y.host) })
}

// readPath adds one path of a rule. Of two equal paths the first one counts.
func (b *builder) readPath(f *front, h *hostRoutes, p networkingv1.HTTPIngressPath) {
	port := b.route(f, p.Backend)
	path, prefix, err := readPath(p)
	if err != nil {
		b.refuse(f, federation.FindingBalancer, "", err.Error(), "write a path that begins with a slash; the only wildcard is /* at its end")
		return
	}
	if prefix && path == "/" {
		h.normal = cmp.Or(h.normal, port)
		return
	}
	if key := (pathRoute{path: path, prefix: prefix}); !h.known[key] {
		h.known[key] = true
		h.paths = append(h.paths, pathRoute{path, prefix, port})
	}
}

// readPath returns a path without its wildcard, and whether it also matches what is
// below it. ImplementationSpecific means the same as for Google's controller: the path
// alone, with "/*" all that is below it, and with no path everything.
func readPath(p networkingv1.HTTPIngressPath) (path string, prefix bool, err error) {
	kind := networkingv1.PathTypeImplementationSpecific
	if p.PathType != nil {
		kind = *p.PathType
	}
	path = p.Path
	switch kind {
	case networkingv1.PathTypeExact:
	case networkingv1.PathTypePrefix:
		prefix = true
	case networkingv1.PathTypeImplementationSpecific:
		if path == "" || strings.HasSuffix(path, "/*") {
			path, prefix = strings.TrimSuffix(path, "/*"), true
		}
	default:
		return "", false, fmt.Errorf("path %q has the unknown type %q", p.Path, kind)
	}
	if prefix {
		path = cmp.Or(strings.TrimRight(path, "/"), "/")
	}
	if !validPath(path) {
		return "", false, fmt.Errorf("path %q cannot be matched by the load balancer", p.Path)
	}
	return path, prefix, nil
}

// validPath reports whether a URL map accepts a path.
func validPath(path string) bool {
	return strings.HasPrefix(path, "/") && len(path) <= 1024 &&
		!strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`*?#\`, r) })
}

// sort puts the most specific path first: the longest, and the path alone before what is
// below it.
func (h *hostRoutes) sort() {
	slices.SortFunc(h.paths, func(x, y pathRoute) int {
		if len(x.path) != len(y.path) {
			return len(y.path) - len(x.path)
		}
		if x.prefix != y.prefix {
			if x.prefix {
				return 1
			}
			return -1
		}
		return strings.Compare(x.path, y.path)
	})
}

// route notes the use of a Service port and returns its key; empty if the port cannot be
// used.
func (b *builder) route(f *front, backend networkingv1.IngressBackend) string {
	if backend.Service == nil {
		b.refuse(f, federation.FindingBalancer, "", "has a resource backend, which is not supported", "use a Service as the backend")
		return ""
	}
	ref := federation.ObjectRef{Kind: "Service", Namespace: f.ref.Namespace, Name: backend.Service.Name}
	number, why := b.portNumber(f, ref, backend.Service.Port)
	if why != "" {
		return ""
	}
	p := portRef{ref, number}
	f.routes.ports[p.key()] = p
	return p.key()
}

// portNumber returns the number of the port that a backend names. If there is none, it
// makes the front idle and returns the reason.
func (b *builder) portNumber(f *front, ref federation.ObjectRef, port networkingv1.ServiceBackendPort) (int32, string) {
	found, withheld := false, ""
	for _, name := range f.clusters {
		c := b.byName[name]
		if w, ok := c.withheld[ref]; ok {
			withheld = w.Reason
		}
		service, err := b.service(c, ref)
		if err != nil {
			continue
		}
		found = true
		for _, p := range service.Spec.Ports {
			if port.Name != "" && p.Name == port.Name || port.Name == "" && p.Port == port.Number {
				return p.Port, ""
			}
		}
	}
	switch {
	case found:
		b.refuse(f, federation.FindingBackend, "", fmt.Sprintf("%s has no port %s", ref, cmp.Or(port.Name, strconv.Itoa(int(port.Number)))),
			"name a port of the Service under spec.rules or spec.defaultBackend")
	case withheld != "":
		f.wait(fmt.Sprintf("waits for %s: %s", ref, withheld))
	default:
		b.refuse(f, federation.FindingBackend, "", fmt.Sprintf("%s is not in Git: fedsync cannot know its node port", ref),
			"add the Service to the federation's repository")
	}
	return 0, f.idle
}

// target returns where the requests of a route go.
func (b *builder) target(f *front, key string) gcp.Target {
	if key == "" {
		if f.routes.normal == "" {
			return gcp.Target{Service: b.emptyService(f), NotFound: true}
		}
		key = f.routes.normal
	}
	return gcp.Target{Service: b.ports[key].id}
}

// wantMap wants the URL map of a front and returns its ID.
func (b *builder) wantMap(f *front) gcp.ID {
	spec := gcp.URLMap{Default: b.target(f, "")}
	for _, h := range f.routes.hosts {
		rule := gcp.HostRule{Host: h.host, Default: b.target(f, h.normal)}
		for _, p := range h.paths {
			rule.Paths = append(rule.Paths, gcp.PathRule{Path: p.path, Prefix: p.prefix, Service: b.ports[p.port].id})
		}
		spec.Hosts = append(spec.Hosts, rule)
	}
	id := b.frontID(f, gcp.KindURLMap, "")
	b.add(id, b.frontMark(f), spec)
	return id
}

// emptyService wants a backend service without backends, for requests without a route,
// and returns its ID.
func (b *builder) emptyService(f *front) gcp.ID {
	check, id := b.frontID(f, gcp.KindHealthCheck, "404"), b.frontID(f, gcp.KindService, "404")
	b.add(check, b.frontMark(f), readiness.Default)
	b.add(id, b.frontMark(f), gcp.Service{Protocol: "HTTP", HealthCheck: check, Timeout: answerTimeout, Drain: DrainSeconds})
	return id
}

func (b *builder) frontID(f *front, kind gcp.Kind, suffix string) gcp.ID {
	readable := strings.TrimSuffix(f.ref.Namespace+"-"+f.ref.Name+"-"+suffix, "-")
	return gcp.ID{Kind: kind, Name: gcp.ResourceName(b.owner, kind, readable, gcp.RefText(f.ref), suffix)}
}

func (b *builder) frontMark(f *front) gcp.Mark { return gcp.Mark{Ingress: gcp.RefText(f.ref)} }
