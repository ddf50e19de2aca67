package diagnose

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// content is what is read from a rendered object. Every part is nil for an object that
// does not matter here.
type content struct {
	ingress *ingress
	service *service
	pods    *pods
}

// ingress is the content of an Ingress in Git.
type ingress struct {
	annotation string // kubernetes.io/ingress.class
	field      string // spec.ingressClassName
	backends   []backend
	secrets    []string // of spec.tls, without duplicates
	hosts      string   // that clients request, sorted
	move       bool     // it may leave Google's controller for fedsync's load balancer
}

// backend is a Service that an Ingress names, and its port, by number or by name.
type backend struct {
	service string
	number  int32
	name    string
}

// service is the content of a Service in Git.
type service struct {
	kind     string // its type; ClusterIP if it states none
	selector map[string]string
	ports    []federation.Port
	// nodePorts is how many node ports a quota counts.
	nodePorts int64
}

// pods are the pods that an object creates from a template. A Pod stands for itself.
type pods struct {
	labels   map[string]string
	replicas *int64 // nil if it states none
}

// contents caches what was decoded. Clusters share Objects, which are never modified, so
// the pointer is the key.
type contents map[*federation.Object]content

// of returns the content of an object, decoded or from before.
func (c contents) of(o *federation.Object, before contents) content {
	known, ok := c[o]
	if ok {
		return known
	}
	if known, ok = before[o]; !ok {
		known = decode(o)
	}
	c[o] = known
	return known
}

// decode decodes an object. An object that cannot be decoded was refused earlier, and has
// no content here.
func decode(o *federation.Object) content {
	switch {
	case o.Ref.IsIngress():
		return content{ingress: decodeIngress(o.JSON)}
	case isService(o.Ref):
		return content{service: decodeService(o.JSON)}
	case o.Ref.Group == "" && o.Ref.Kind == "Pod", bytes.Contains(o.JSON, []byte(`"template":`)):
		return content{pods: decodePods(o)}
	}
	return content{}
}

func isService(o federation.ObjectRef) bool { return o.Kind == "Service" && o.Group == "" }

func decodeIngress(data []byte) *ingress {
	type backendSpec struct {
		Service *struct {
			Name string `json:"name"`
			Port struct {
				Number int32  `json:"number"`
				Name   string `json:"name"`
			} `json:"port"`
		} `json:"service"`
	}
	var o struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			IngressClassName string      `json:"ingressClassName"`
			DefaultBackend   backendSpec `json:"defaultBackend"`
			Rules            []struct {
				Host string `json:"host"`
				HTTP struct {
					Paths []struct {
						Backend backendSpec `json:"backend"`
					} `json:"paths"`
				} `json:"http"`
			} `json:"rules"`
			TLS []struct {
				Hosts      []string `json:"hosts"`
				SecretName string   `json:"secretName"`
			} `json:"tls"`
		} `json:"spec"`
	}
	if json.Unmarshal(data, &o) != nil {
		return nil
	}
	i := &ingress{
		annotation: o.Metadata.Annotations[annotationClass], field: o.Spec.IngressClassName,
		move: o.Metadata.Annotations[federation.AnnotationMove] == federation.MoveAllowed,
	}
	add := func(b backendSpec) {
		if b.Service != nil && b.Service.Name != "" {
			i.backends = appendNew(i.backends, backend{b.Service.Name, b.Service.Port.Number, b.Service.Port.Name})
		}
	}
	add(o.Spec.DefaultBackend)
	var hosts []string
	for _, rule := range o.Spec.Rules {
		hosts = appendNew(hosts, rule.Host)
		for _, path := range rule.HTTP.Paths {
			add(path.Backend)
		}
	}
	for _, tls := range o.Spec.TLS {
		if tls.SecretName != "" {
			i.secrets = appendNew(i.secrets, tls.SecretName)
		}
		for _, host := range tls.Hosts {
			hosts = appendNew(hosts, host)
		}
	}
	slices.Sort(hosts)
	i.hosts = strings.Join(hosts, " ")
	return i
}

func decodeService(data []byte) *service {
	var o struct {
		Spec struct {
			Type                          string            `json:"type"`
			Selector                      map[string]string `json:"selector"`
			Ports                         []federation.Port `json:"ports"`
			AllocateLoadBalancerNodePorts *bool             `json:"allocateLoadBalancerNodePorts"`
		} `json:"spec"`
	}
	if json.Unmarshal(data, &o) != nil {
		return nil
	}
	s := &service{kind: o.Spec.Type, selector: o.Spec.Selector, ports: o.Spec.Ports}
	if s.kind == "" {
		s.kind = "ClusterIP"
	}
	allocates := o.Spec.AllocateLoadBalancerNodePorts
	for _, p := range s.ports {
		if s.kind == "NodePort" || s.kind == "LoadBalancer" && (allocates == nil || *allocates || p.NodePort != 0) {
			s.nodePorts++
		}
	}
	return s
}

func decodePods(o *federation.Object) *pods {
	type meta struct {
		Labels map[string]string `json:"labels"`
	}
	type template struct {
		Metadata meta `json:"metadata"`
	}
	var decoded struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			Replicas    *int64    `json:"replicas"`
			Template    *template `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template *template `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if json.Unmarshal(o.JSON, &decoded) != nil {
		return nil
	}
	switch {
	case o.Ref.Group == "" && o.Ref.Kind == "Pod":
		return &pods{labels: decoded.Metadata.Labels}
	case decoded.Spec.Template != nil:
		return &pods{labels: decoded.Spec.Template.Metadata.Labels, replicas: decoded.Spec.Replicas}
	case decoded.Spec.JobTemplate.Spec.Template != nil:
		return &pods{labels: decoded.Spec.JobTemplate.Spec.Template.Metadata.Labels}
	}
	return nil
}
