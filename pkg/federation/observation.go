package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Health is the health of a live object.
type Health string

// The health states, best first. Unknown comes last although it may hide a healthy
// object: it means that the object's health cannot be determined.
const (
	Healthy     Health = "Healthy"
	Progressing Health = "Progressing"
	Degraded    Health = "Degraded"
	Unknown     Health = "Unknown"
)

// Observation is the health of one live object that fedsync manages.
type Observation struct {
	Cluster string         `json:"cluster"`
	App     string         `json:"app"`
	Object  ObjectRef      `json:"object"`
	Health  Health         `json:"health"`
	Message untrusted.Text `json:"message,omitzero"` // why it is not healthy

	Created   time.Time `json:"created,omitzero"`
	Hosts     []string  `json:"hosts,omitempty"`     // Ingress: the hosts of its rules
	Addresses []string  `json:"addresses,omitempty"` // Ingress, Service: IPs and hostnames, sorted
	Ports     []Port    `json:"ports,omitempty"`     // Ingress: 80, 443; Service: its ports
	Ready     int64     `json:"ready"`               // workloads: pods that are ready
	Desired   int64     `json:"desired"`             // workloads: pods that are wanted
	// Annotations are those of the ingress controller, under ingress.kubernetes.io/.
	Annotations map[string]string `json:"annotations,omitempty"`
	// ClassName is an Ingress's class, by field or annotation; empty for none.
	ClassName string `json:"className,omitempty"`
	// TLS are the Secrets that an Ingress names under spec.tls, sorted.
	TLS []string `json:"tls,omitempty"`
	// StorageClass is the class of a PersistentVolumeClaim; empty for none.
	StorageClass string `json:"storageClass,omitempty"`
	// Provisioner is the provisioner that was asked for a PersistentVolumeClaim's
	// volume; empty if none was.
	Provisioner string `json:"provisioner,omitempty"`
	// AwaitsConsumer reports that a PersistentVolumeClaim has no volume and no selected
	// node. If its class binds volumes only when a pod needs them, the claim waits for
	// the first pod that mounts it.
	AwaitsConsumer bool `json:"awaitsConsumer,omitempty"`
	// Rules are the rules of an Ingress in its order, with the default backend first; at
	// most 50.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is a Service that an Ingress sends requests to.
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
