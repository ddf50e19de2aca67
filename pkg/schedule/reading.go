package schedule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

// The annotations that configure the schedule. Those of Federation v1 remain supported.
const (
	annotationSelector      = "federation.alpha.kubernetes.io/cluster-selector"
	annotationReplicaSet    = "federation.kubernetes.io/replica-set-preferences"
	annotationDeployment    = "federation.kubernetes.io/deployment-preferences"
	annotationReplicas      = federation.AnnotationReplicas
	replicasPerCluster      = "PerCluster"
	serviceTypeNodePort     = "NodePort"
	serviceTypeLoadBalancer = "LoadBalancer"
)

// reading is what the schedule reads from an object. Objects with the same statement
// share one reading. Most objects have nothing that concerns the schedule.
type reading struct {
	statement
	selector labels.Selector // nil for every cluster
	ports    []ports.Port    // of a Service that has node ports
	workload *wish           // of a workload whose replicas are divided
	ingress  *ingressWish    // of an Ingress whose load balancer fedsync may create
	scales   federation.ObjectRef
	err      error // what cannot be understood; the object is not placed then
	field    string
}

// statement identifies a reading.
type statement struct {
	ref     federation.ObjectRef
	file    string
	content string
}

// wish is what Git states about a workload's replicas.
type wish struct {
	stated      bool  // false if Git sets no number: fedsync does not manage the replicas then
	total       int64 // of all clusters
	preferences replicas.Preferences
	asWritten   string // the preferences' annotation, to compare overlays
}

var nothing = &reading{}

// content is the part of an object that the schedule decodes.
type content struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

// The kinds of which more than the annotations is read.
var (
	kindService    = schema.GroupKind{Kind: "Service"}
	kindReplicaSet = schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	kindDeployment = schema.GroupKind{Group: "apps", Kind: "Deployment"}
	kindIngress    = schema.GroupKind{Group: "networking.k8s.io", Kind: "Ingress"}
	kindAutoscaler = schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}
)

func newReading(o *federation.Object) *reading {
	kind := o.Ref.GroupKind()
	switch kind {
	case kindService, kindReplicaSet, kindDeployment, kindIngress, kindAutoscaler:
	default:
		if !bytes.Contains(o.JSON, []byte(annotationSelector)) {
			return nothing
		}
	}
	var c content
	if err := json.Unmarshal(o.JSON, &c); err != nil {
		return nothing // annotations that are not strings: the API server refuses them
	}
	r := &reading{}
	text, selects := c.Metadata.Annotations[annotationSelector]
	if selects {
		r.selector, r.err = parseSelector(text)
		r.field = "annotation " + annotationSelector
	}
	switch {
	case kind == kindAutoscaler:
		// Even if it is not placed: its target must not be divided instead.
		r.scales = scaleTarget(o.Ref.Namespace, c.Spec)
	case r.err != nil:
	case kind == kindService:
		r.ports, r.err = servicePorts(c.Spec)
		r.field = "spec.ports"
	case kind == kindIngress:
		r.ingress = newIngressWish(c)
	case kind == kindReplicaSet, kind == kindDeployment:
		r.workload, r.field, r.err = newWish(kind, c)
		r.field = "annotation " + r.field
	}
	if r.selector == nil && r.ports == nil && r.workload == nil && r.ingress == nil && r.scales == (federation.ObjectRef{}) && r.err == nil {
		return nothing
	}
	r.statement = statement{o.Ref, o.File, r.text(text)}
	return r
}

// text returns everything that was read as one string, for comparison.
func (r *reading) text(selector string) string {
	w := cmp.Or(r.workload, &wish{})
	return fmt.Sprintf("%q %v %t %d %q %v %v %+v", selector, r.ports, w.stated, w.total, w.asWritten, r.scales, r.err, cmp.Or(r.ingress, &ingressWish{}))
}

// newWish reads a workload's replicas and preferences. It returns nil if its replicas are
// not divided. The string is the name of the annotation that the error is about.
func newWish(kind schema.GroupKind, c content) (*wish, string, error) {
	switch value, ok := c.Metadata.Annotations[annotationReplicas]; {
	case ok && value == replicasPerCluster:
		return nil, "", nil
	case ok:
		return nil, annotationReplicas, fmt.Errorf("%s is not supported; the only value is %s", limit.Quote(value), replicasPerCluster)
	}
	var spec struct {
		Replicas *int64 `json:"replicas"`
	}
	if json.Unmarshal(c.Spec, &spec) != nil || spec.Replicas != nil && *spec.Replicas < 0 {
		return nil, "", nil //nolint:nilerr // The API server reports the mistake.
	}
	w := &wish{}
	if spec.Replicas != nil {
		w.stated, w.total = true, *spec.Replicas
	}
	name := annotationReplicaSet
	if kind == kindDeployment {
		name = annotationDeployment
	}
	text, ok := c.Metadata.Annotations[name]
	switch {
	case !ok:
		return w, "", nil
	case !w.stated:
		return nil, name, errors.New("it divides spec.replicas, which the object does not set")
	}
	var err error
	w.asWritten = text
	w.preferences, err = replicas.ParsePreferences(text)
	return w, name, err
}

// servicePorts returns the ports of a Service that has node ports; nil for other Services.
func servicePorts(raw json.RawMessage) ([]ports.Port, error) {
	var spec struct {
		Type     string `json:"type"`
		Allocate *bool  `json:"allocateLoadBalancerNodePorts"`
		Ports    []struct {
			Name     string `json:"name"`
			Protocol string `json:"protocol"`
			Port     int32  `json:"port"`
			NodePort int32  `json:"nodePort"`
		} `json:"ports"`
		HealthCheckNodePort int32 `json:"healthCheckNodePort"`
	}
	if json.Unmarshal(raw, &spec) != nil {
		return nil, nil //nolint:nilerr // The API server reports the mistake.
	}
	if spec.Type != serviceTypeNodePort && spec.Type != serviceTypeLoadBalancer {
		return nil, nil
	}
	if len(spec.Ports) > limit.ServicePorts {
		return nil, fmt.Errorf("the Service has %s ports; at most %s can get node ports", limit.Number(len(spec.Ports)), limit.Number(limit.ServicePorts))
	}
	var found []ports.Port
	for _, port := range spec.Ports {
		if spec.Allocate != nil && !*spec.Allocate && port.NodePort == 0 {
			continue
		}
		switch port.Protocol {
		case "TCP", "UDP", "SCTP":
		case "":
			port.Protocol = "TCP"
		default:
			return nil, nil // the API server refuses the protocol
		}
		found = append(found, ports.Port{Name: port.Name, Protocol: port.Protocol, Port: port.Port, NodePort: port.NodePort})
	}
	if spec.HealthCheckNodePort != 0 {
		found = append(found, ports.Port{Protocol: "TCP", NodePort: spec.HealthCheckNodePort, HealthCheck: true})
	}
	return found, nil
}

// scaleTarget returns the workload whose replicas an autoscaler sets.
func scaleTarget(namespace string, raw json.RawMessage) federation.ObjectRef {
	var spec struct {
		ScaleTargetRef struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Name       string `json:"name"`
		} `json:"scaleTargetRef"`
	}
	if json.Unmarshal(raw, &spec) != nil {
		return federation.ObjectRef{}
	}
	group, _, grouped := strings.Cut(spec.ScaleTargetRef.APIVersion, "/")
	if !grouped {
		group = ""
	}
	return federation.ObjectRef{Group: group, Kind: spec.ScaleTargetRef.Kind, Namespace: namespace, Name: spec.ScaleTargetRef.Name}
}

// parseSelector reads Federation v1's cluster selector: a JSON list of
// requirements that must all hold.
func parseSelector(text string) (labels.Selector, error) {
	if len(text) > limit.AnnotationBytes {
		return nil, limit.Annotation(text)
	}
	var requirements []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	// Decode stops after the list, and More does not report a bracket there.
	if err := decoder.Decode(&requirements); err != nil || requirements == nil || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf(`%s is not a list of requirements; want [{"key": "location", "operator": "in", "values": ["europe"]}]`, limit.Quote(text))
	}
	values := 0
	for _, r := range requirements {
		values += len(r.Values)
	}
	if len(requirements) > limit.Requirements || values > limit.SelectorValues {
		return nil, fmt.Errorf("the selector has %s requirements with %s values; at most %s and %s are allowed", limit.Number(len(requirements)),
			limit.Number(values), limit.Number(limit.Requirements), limit.Number(limit.SelectorValues))
	}
	all := make([]labels.Requirement, 0, len(requirements))
	for _, r := range requirements {
		operator := selection.Operator(strings.ToLower(r.Operator))
		if operator == selection.DoesNotExist || operator == selection.Exists {
			if len(r.Values) > 0 {
				return nil, fmt.Errorf("%s: operator %s takes no values", limit.Quote(text), limit.Quote(r.Operator))
			}
		}
		requirement, err := labels.NewRequirement(r.Key, operator, r.Values)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", limit.Quote(text), limit.Text(err.Error(), limit.MessageBytes/2))
		}
		all = append(all, *requirement)
	}
	return labels.NewSelector().Add(all...), nil
}
