package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Health is the state of a live object.
type Health string

// The health states, best first. Unknown is worse than Degraded for nobody but
// the reader: it says that we cannot see.
const (
	Healthy     Health = "Healthy"
	Progressing Health = "Progressing"
	Degraded    Health = "Degraded"
	Unknown     Health = "Unknown"
)

// Observation is one live object of ours, judged.
type Observation struct {
	Cluster string         `json:"cluster"`
	App     string         `json:"app"`
	Object  ObjectRef      `json:"object"`
	Health  Health         `json:"health"`
	Message untrusted.Text `json:"message,omitzero"` // why it is not healthy

	Created   time.Time `json:"created,omitzero"`
	Hosts     []string  `json:"hosts,omitempty"`     // Ingress: of its rules
	Addresses []string  `json:"addresses,omitempty"` // Ingress, Service: IPs and hostnames, sorted
	Ports     []Port    `json:"ports,omitempty"`     // Ingress: 80, 443; Service: its ports
	Ready     int64     `json:"ready"`               // workloads: pods that are ready
	Desired   int64     `json:"desired"`             // workloads: pods that are wanted
	// Annotations are the ingress controller's, under ingress.kubernetes.io/.
	Annotations map[string]string `json:"annotations,omitempty"`
	// ClassName is an Ingress's class, by field or annotation; empty for none.
	ClassName string `json:"className,omitempty"`
	// TLS are the Secrets that an Ingress names under spec.tls, sorted.
	TLS []string `json:"tls,omitempty"`
	// StorageClass is that of a PersistentVolumeClaim; empty for none.
	StorageClass string `json:"storageClass,omitempty"`
	// Provisioner is who was asked for a PersistentVolumeClaim's volume; empty where
	// nobody was.
	Provisioner string `json:"provisioner,omitempty"`
	// AwaitsConsumer says that a PersistentVolumeClaim has no volume, and that no node
	// was chosen for it: if its class makes volumes only where a pod needs them, it
	// waits for the first pod that mounts it.
	AwaitsConsumer bool `json:"awaitsConsumer,omitempty"`
	// Rules are an Ingress's, in its order, with the default backend first; at most
	// 50.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule says which Service an Ingress sends requests to.
type Rule struct {
	Host    string `json:"host,omitempty"` // empty for any
	Path    string `json:"path,omitempty"` // empty for any
	Service string `json:"service"`
	Port    string `json:"port"` // a number, or the name of one of the Service's ports
}

// Port is one port of an Ingress or a Service.
type Port struct {
	Name     string `json:"name,omitempty" file:"name" doc:"The port's name."`
	Protocol string `json:"protocol,omitempty" file:"protocol" default:"TCP" enum:"TCP UDP SCTP" doc:"The port's protocol."`
	Port     int32  `json:"port" file:"port,required" doc:"The Service's own port."`
	NodePort int32  `json:"nodePort,omitempty" file:"nodePort" doc:"Its node port."`
}
