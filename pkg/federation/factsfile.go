package federation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// FactsKind is the kind of a file that holds Facts.
const FactsKind = "Facts"

// factsFile is the name in errors of a file whose name is not known here.
const factsFile = "facts"

// ParseFacts reads a file of facts, YAML or JSON, and fills the defaults in. It
// is as strict as Parse. Its error is of type FileErrors; FileErrors.In gives it
// the file's name.
func ParseFacts(data []byte) (Facts, error) {
	doc, found := factsFormat.document(data)
	if doc == nil {
		return Facts{}, found.sorted()
	}
	found = append(found, factsFormat.validate(doc)...)
	var file factsDocument
	encoded, err := json.Marshal(doc.Value)
	if err == nil {
		err = json.Unmarshal(encoded, &file)
	}
	// A value of the wrong type is left out and the rest is judged.
	var wrongType *json.UnmarshalTypeError
	if err != nil && (len(found) == 0 || !errors.As(err, &wrongType)) {
		found = append(found, FileError{File: factsFile, Message: err.Error()})
		return Facts{}, found.sorted()
	}
	c := checker{mistakes{file: factsFile, doc: doc}}
	c.facts(&file)
	found = append(found, c.errors()...)
	if len(found) > 0 {
		return Facts{}, found.sorted()
	}
	facts := Facts{Clusters: make(map[string]ClusterFacts, len(file.Clusters)), BalancersKnown: file.Balancers != nil}
	for i := range file.Balancers {
		facts.Balancers = append(facts.Balancers, file.Balancers[i].facts())
	}
	slices.SortFunc(facts.Balancers, func(a, b Balancer) int { return a.Ingress.Compare(b.Ingress) })
	for i := range file.Clusters {
		facts.Clusters[file.Clusters[i].Name] = file.Clusters[i].facts()
	}
	return facts, nil
}

// YAML gives the facts as ParseFacts reads them, clusters by name. What is the
// default is left out.
func (f Facts) YAML() ([]byte, error) {
	data, err := f.JSON()
	if err != nil {
		return nil, err
	}
	// JSON is YAML: as nodes, the fields keep their order.
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	block(&root, 0)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(&root); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	return b.Bytes(), nil
}

// block writes a node over several lines, down to a cluster's lists: an entry of
// these takes one line, so that a person can compare them.
func block(n *yaml.Node, depth int) {
	const entries = 6 // document, file, clusters, cluster, list, entry
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value == "<<" || strings.ContainsFunc(n.Value, isOdd)):
		n.Style = yaml.DoubleQuotedStyle // the encoder would write what no reader takes
	case n.Kind == yaml.ScalarNode || depth < entries-1:
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child, depth+1)
	}
}

// isOdd says whether a character may stand in JSON as it is, and in YAML may not or
// would be lost. What a cluster says must not keep the facts of all from being read.
func isOdd(r rune) bool {
	return r == '\uFEFF' || r < 0x10000 && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

// escaped is JSON with its odd characters written as escapes. Outside of strings it
// has no others than line ends.
func escaped(data []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(data) {
		if r == '\n' || !isOdd(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.Bytes()
}

// JSON is YAML in JSON.
func (f Facts) JSON() ([]byte, error) {
	file := factsDocument{APIVersion: APIVersion, Kind: FactsKind, Clusters: []clusterDocument{}}
	if f.BalancersKnown {
		file.Balancers = make([]balancerDocument, len(f.Balancers))
		for i := range f.Balancers {
			file.Balancers[i] = newBalancerDocument(&f.Balancers[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Clusters)) {
		file.Clusters = append(file.Clusters, newClusterDocument(name, f.Clusters[name]))
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // nobody embeds it, and people read it
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	return escaped(b.Bytes()), nil
}

// factsDocument is a file of facts as it is written. What it may say, the schema
// says; a test holds the two together. A pointer is a value whose default is not
// the zero of its type.
type factsDocument struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Clusters   []clusterDocument `json:"clusters"`
	// Balancers are known where the list is there, however short.
	Balancers []balancerDocument `json:"balancers,omitzero"`
}

type clusterDocument struct {
	Name      string    `json:"name"`
	UID       string    `json:"uid,omitempty"`
	State     string    `json:"state,omitempty"`
	Failure   string    `json:"failure,omitempty"`
	Error     string    `json:"error,omitempty"`
	Since     timestamp `json:"since,omitempty"`
	AwaySince timestamp `json:"awaySince,omitempty"`
	Outage    *bool     `json:"outage,omitempty"`
	Failed    int64     `json:"failed,omitempty"`
	Probes    int64     `json:"probes,omitempty"`
	Version   string    `json:"version,omitempty"`
	Synced    *bool     `json:"synced,omitempty"`
	Seen      *bool     `json:"seen,omitempty"`

	Inventory  map[string][]string `json:"inventory,omitempty"`
	PortsKnown *bool               `json:"portsKnown,omitempty"`
	NodePorts  []nodePortDocument  `json:"nodePorts,omitempty"`
	Workloads  []workloadDocument  `json:"workloads,omitempty"`
	Zones      []string            `json:"zones,omitempty"`
	Regions    []string            `json:"regions,omitempty"`
	NodesKnown bool                `json:"nodesKnown,omitempty"`
	Nodes      []nodeDocument      `json:"nodes,omitempty"`

	IngressesKnown *bool               `json:"ingressesKnown,omitempty"`
	Ingresses      []ingressDocument   `json:"ingresses,omitempty"`
	Endpoints      []endpointsDocument `json:"endpoints,omitempty"`

	ServicesKnown bool              `json:"servicesKnown,omitempty"`
	Services      []serviceDocument `json:"services,omitempty"`

	IngressUID   *uidDocument          `json:"ingressUID,omitempty"`
	Quotas       []quotaDocument       `json:"quotas,omitempty"`
	Certificates []certificateDocument `json:"certificates,omitempty"`

	AutoscalersKnown    bool                   `json:"autoscalersKnown,omitempty"`
	Autoscalers         []autoscalerDocument   `json:"autoscalers,omitempty"`
	StorageClassesKnown bool                   `json:"storageClassesKnown,omitempty"`
	StorageClasses      []storageClassDocument `json:"storageClasses,omitempty"`
	IngressClassesKnown bool                   `json:"ingressClassesKnown,omitempty"`
	IngressClasses      []ingressClassDocument `json:"ingressClasses,omitempty"`

	Blind []blindDocument `json:"blind,omitempty"`
}

type nodePortDocument struct {
	Protocol    string `json:"protocol,omitempty"`
	Port        int32  `json:"port"`
	Namespace   string `json:"namespace"`
	Service     string `json:"service"`
	ServicePort int32  `json:"servicePort,omitempty"`
	HealthCheck bool   `json:"healthCheck,omitempty"`
}

type workloadDocument struct {
	Kind          string  `json:"kind"`
	Group         *string `json:"group,omitempty"`
	Namespace     string  `json:"namespace"`
	Name          string  `json:"name"`
	Replicas      int64   `json:"replicas"`
	Ready         int64   `json:"ready"`
	Current       *int64  `json:"current,omitempty"`
	Scaled        bool    `json:"scaled,omitempty"`
	Unschedulable int64   `json:"unschedulable,omitempty"`
	Limited       *bool   `json:"limited,omitempty"`
	Capacity      *int64  `json:"capacity,omitempty"`
	Reason        string  `json:"reason,omitempty"`
}

type ingressDocument struct {
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	Ours       bool      `json:"ours,omitempty"`
	ClassName  string    `json:"className,omitempty"`
	URLMap     string    `json:"urlMap,omitempty"`
	Created    timestamp `json:"created,omitempty"`
	Addresses  []string  `json:"addresses,omitempty"`
	Google     bool      `json:"google,omitempty"`
	GoogleHeld bool      `json:"googleHeld,omitempty"`
	StatusBy   string    `json:"statusBy,omitempty"`
}

type endpointsDocument struct {
	Namespace string   `json:"namespace"`
	Service   string   `json:"service"`
	Ready     int64    `json:"ready"`
	NotReady  int64    `json:"notReady,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

type serviceDocument struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Type      string         `json:"type,omitempty"`
	NEG       string         `json:"neg,omitempty"`
	Ports     []portDocument `json:"ports,omitempty"`
}

type portDocument struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Port     int32  `json:"port"`
	NodePort int32  `json:"nodePort,omitempty"`
}

type uidDocument struct {
	Exists   *bool  `json:"exists,omitempty"`
	UID      string `json:"uid,omitempty"`
	Provider string `json:"provider,omitempty"`
}

type quotaDocument struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Hard      map[string]int64 `json:"hard,omitempty"`
	Used      map[string]int64 `json:"used,omitempty"`
	Scoped    bool             `json:"scoped,omitempty"`
}

type certificateDocument struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Exists    *bool  `json:"exists,omitempty"`
	Type      string `json:"type,omitempty"`
	Digest    string `json:"digest,omitempty"`
}

type blindDocument struct {
	Resource string       `json:"resource"`
	Failure  FailureClass `json:"failure,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// timestamp is a time in RFC 3339, as it is written; empty for none.
type timestamp string

func newTimestamp(t time.Time) timestamp {
	if t.IsZero() {
		return ""
	}
	return timestamp(t.UTC().Format(time.RFC3339Nano))
}

// time is called for a file without mistakes.
func (t timestamp) time() time.Time {
	at, err := time.Parse(time.RFC3339, string(t))
	if err != nil {
		return time.Time{} // it is empty
	}
	return at
}

// What is left out of a file is what Kubernetes takes it for.
const (
	defaultNamespace   = "default"
	defaultProtocol    = "TCP"
	defaultServiceType = "ClusterIP"
)

// facts fills the defaults in and sorts what is to be sorted.
func (d *clusterDocument) facts() ClusterFacts {
	f := ClusterFacts{
		State:      ClusterState(cmp.Or(d.State, string(ClusterReady))),
		Failure:    FailureClass(d.Failure),
		Error:      untrusted.Said(d.Error),
		Since:      d.Since.time(),
		AwaySince:  d.AwaySince.time(),
		Failed:     int(d.Failed),
		Probes:     int(d.Probes),
		Version:    d.Version,
		UID:        d.UID,
		Seen:       orDefault(d.Seen, true),
		PortsKnown: orDefault(d.PortsKnown, true),
		Zones:      sorted(d.Zones),
		Regions:    sorted(d.Regions),
		NodesKnown: d.NodesKnown,

		IngressesKnown: orDefault(d.IngressesKnown, true),
	}
	for _, n := range d.Nodes {
		f.Nodes = append(f.Nodes, n.facts())
	}
	slices.SortFunc(f.Nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	f.Synced = orDefault(d.Synced, f.State.answers())
	f.Outage = orDefault(d.Outage, f.State == ClusterOffline)
	for app, texts := range d.Inventory {
		if f.Inventory == nil {
			f.Inventory = make(map[string][]ObjectRef, len(d.Inventory))
		}
		refs := make([]ObjectRef, len(texts))
		for i, text := range texts {
			refs[i], _ = ParseObjectRef(text) // checked before
		}
		slices.SortFunc(refs, ObjectRef.Compare)
		f.Inventory[app] = refs
	}
	for _, p := range d.NodePorts {
		f.NodePorts = append(f.NodePorts, NodePort{
			Protocol: cmp.Or(p.Protocol, defaultProtocol), Port: p.Port, ServicePort: p.ServicePort, HealthCheck: p.HealthCheck,
			Namespace: cmp.Or(p.Namespace, defaultNamespace), Service: p.Service,
		})
	}
	slices.SortFunc(f.NodePorts, NodePort.Compare)
	for i := range d.Workloads {
		f.Workloads = append(f.Workloads, d.Workloads[i].facts())
	}
	slices.SortFunc(f.Workloads, func(a, b Workload) int { return a.Object.Compare(b.Object) })
	d.addresses(&f)
	if u := d.IngressUID; u != nil {
		f.IngressUID = IngressUID{Known: true, Exists: orDefault(u.Exists, true), UID: u.UID, Provider: u.Provider}
	}
	for _, q := range d.Quotas {
		f.Quotas = append(f.Quotas, Quota{
			Namespace: cmp.Or(q.Namespace, defaultNamespace), Name: q.Name, Hard: q.Hard, Used: q.Used, Scoped: q.Scoped,
		})
	}
	slices.SortFunc(f.Quotas, func(a, b Quota) int { return byName(a.Namespace, a.Name, b.Namespace, b.Name) })
	for _, c := range d.Certificates {
		f.Certificates = append(f.Certificates, Certificate{
			Namespace: cmp.Or(c.Namespace, defaultNamespace), Name: c.Name,
			Exists: orDefault(c.Exists, true), Type: c.Type, Digest: c.Digest,
		})
	}
	slices.SortFunc(f.Certificates, func(a, b Certificate) int { return byName(a.Namespace, a.Name, b.Namespace, b.Name) })
	d.classes(&f)
	for _, b := range d.Blind {
		f.Blind = append(f.Blind, Blind{Resource: b.Resource, Failure: b.Failure, Error: untrusted.Said(b.Error)})
	}
	slices.SortFunc(f.Blind, func(a, b Blind) int { return strings.Compare(a.Resource, b.Resource) })
	return f
}

// answers says whether facts are those of now unless the file says otherwise: a
// cluster that has missed a probe or two is still taken at its word.
func (s ClusterState) answers() bool { return s == ClusterReady || s == ClusterNotReady }

// addresses adds what is known of Ingresses, endpoints and Services.
func (d *clusterDocument) addresses(f *ClusterFacts) {
	for _, in := range d.Ingresses {
		f.Ingresses = append(f.Ingresses, Ingress{
			Namespace: cmp.Or(in.Namespace, defaultNamespace), Name: in.Name, Ours: in.Ours,
			ClassName: in.ClassName, URLMap: in.URLMap, Created: in.Created.time(), Addresses: sorted(in.Addresses),
			Google: in.Google, GoogleHeld: in.GoogleHeld, StatusBy: untrusted.Said(in.StatusBy),
		})
	}
	slices.SortFunc(f.Ingresses, func(a, b Ingress) int { return byName(a.Namespace, a.Name, b.Namespace, b.Name) })
	for _, e := range d.Endpoints {
		f.Endpoints = append(f.Endpoints, Endpoints{
			Namespace: cmp.Or(e.Namespace, defaultNamespace), Service: e.Service,
			Ready: int(e.Ready), NotReady: int(e.NotReady), Addresses: sorted(e.Addresses),
		})
	}
	slices.SortFunc(f.Endpoints, func(a, b Endpoints) int { return byName(a.Namespace, a.Service, b.Namespace, b.Service) })
	f.ServicesKnown = d.ServicesKnown
	for _, s := range d.Services {
		service := Service{
			Namespace: cmp.Or(s.Namespace, defaultNamespace), Name: s.Name, Type: cmp.Or(s.Type, defaultServiceType), NEG: s.NEG,
		}
		for _, p := range s.Ports {
			p.Protocol = cmp.Or(p.Protocol, defaultProtocol)
			service.Ports = append(service.Ports, Port(p))
		}
		f.Services = append(f.Services, service)
	}
	slices.SortFunc(f.Services, func(a, b Service) int { return byName(a.Namespace, a.Name, b.Namespace, b.Name) })
}

func (d *workloadDocument) facts() Workload {
	w := Workload{
		Object:        d.object(),
		Replicas:      d.Replicas,
		Ready:         d.Ready,
		Current:       d.Ready,
		Scaled:        d.Scaled,
		Unschedulable: d.Unschedulable,
		Reason:        untrusted.Said(d.Reason),
		Limited:       orDefault(d.Limited, d.Unschedulable > 0 || d.Capacity != nil),
	}
	if d.Current != nil {
		w.Current = *d.Current
	}
	switch {
	case w.Limited && d.Capacity != nil:
		w.Capacity = *d.Capacity
	case w.Limited:
		w.Capacity = w.room()
	}
	return w
}

func (d *workloadDocument) object() ObjectRef {
	ref := ObjectRef{Group: defaultGroup(d.Kind), Kind: d.Kind, Namespace: cmp.Or(d.Namespace, defaultNamespace), Name: d.Name}
	if d.Group != nil {
		ref.Group = *d.Group
	}
	return ref
}

// defaultGroup is the group of a workload's kind where none is given.
func defaultGroup(kind string) string {
	if slices.Contains([]string{"ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"}, kind) {
		return "apps"
	}
	return ""
}

// room is the capacity where nothing else is said.
func (w Workload) room() int64 { return max(0, w.Replicas-w.Unschedulable) }

// newClusterDocument leaves out what facts would fill in.
func newClusterDocument(name string, f ClusterFacts) clusterDocument {
	d := clusterDocument{
		Name: name, UID: f.UID, State: string(f.State), Failure: string(f.Failure), Error: f.Error.String(),
		Since: newTimestamp(f.Since), AwaySince: newTimestamp(f.AwaySince),
		Failed: int64(f.Failed), Probes: int64(f.Probes), Version: f.Version,
		Outage:     unless(f.Outage, f.State == ClusterOffline),
		Synced:     unless(f.Synced, f.State.answers()),
		Seen:       unless(f.Seen, true),
		PortsKnown: unless(f.PortsKnown, true),
		Zones:      f.Zones,
		Regions:    f.Regions,
		NodesKnown: f.NodesKnown,

		IngressesKnown: unless(f.IngressesKnown, true),
	}
	for _, n := range f.Nodes {
		d.Nodes = append(d.Nodes, newNodeDocument(n))
	}
	for app, refs := range f.Inventory {
		if d.Inventory == nil {
			d.Inventory = make(map[string][]string, len(f.Inventory))
		}
		texts := make([]string, len(refs))
		for i, ref := range refs {
			texts[i] = ref.String()
		}
		d.Inventory[app] = texts
	}
	for _, p := range f.NodePorts {
		d.NodePorts = append(d.NodePorts, nodePortDocument(p))
	}
	for _, w := range f.Workloads {
		d.Workloads = append(d.Workloads, newWorkloadDocument(w))
	}
	for _, in := range f.Ingresses {
		d.Ingresses = append(d.Ingresses, ingressDocument{
			Namespace: in.Namespace, Name: in.Name, Ours: in.Ours, ClassName: in.ClassName,
			URLMap: in.URLMap, Created: newTimestamp(in.Created), Addresses: in.Addresses,
			Google: in.Google, GoogleHeld: in.GoogleHeld, StatusBy: in.StatusBy.String(),
		})
	}
	for _, e := range f.Endpoints {
		d.Endpoints = append(d.Endpoints, endpointsDocument{
			Namespace: e.Namespace, Service: e.Service,
			Ready: int64(e.Ready), NotReady: int64(e.NotReady), Addresses: e.Addresses,
		})
	}
	d.ServicesKnown = f.ServicesKnown
	for _, s := range f.Services {
		service := serviceDocument{Namespace: s.Namespace, Name: s.Name, Type: s.Type, NEG: s.NEG}
		for _, p := range s.Ports {
			service.Ports = append(service.Ports, portDocument(p))
		}
		d.Services = append(d.Services, service)
	}
	if u := f.IngressUID; u.Known {
		d.IngressUID = &uidDocument{Exists: unless(u.Exists, true), UID: u.UID, Provider: u.Provider}
	}
	for _, q := range f.Quotas {
		d.Quotas = append(d.Quotas, quotaDocument(q))
	}
	for _, c := range f.Certificates {
		d.Certificates = append(d.Certificates, certificateDocument{
			Namespace: c.Namespace, Name: c.Name, Exists: unless(c.Exists, true), Type: c.Type, Digest: c.Digest,
		})
	}
	d.setClasses(&f)
	for _, b := range f.Blind {
		d.Blind = append(d.Blind, blindDocument{Resource: b.Resource, Failure: b.Failure, Error: b.Error.String()})
	}
	return d
}

func newWorkloadDocument(w Workload) workloadDocument {
	d := workloadDocument{
		Kind: w.Object.Kind, Namespace: w.Object.Namespace, Name: w.Object.Name,
		Group:    unless(w.Object.Group, defaultGroup(w.Object.Kind)),
		Replicas: w.Replicas, Ready: w.Ready, Current: unless(w.Current, w.Ready),
		Scaled: w.Scaled, Unschedulable: w.Unschedulable, Reason: w.Reason.String(),
	}
	if w.Limited {
		d.Capacity = unless(w.Capacity, w.room())
	}
	d.Limited = unless(w.Limited, w.Unschedulable > 0 || d.Capacity != nil)
	return d
}

// unless gives a value that is not the default, and nil for the default.
func unless[T comparable](value, otherwise T) *T {
	if value == otherwise {
		return nil
	}
	return &value
}

func sorted(texts []string) []string {
	out := slices.Clone(texts)
	slices.Sort(out)
	return out
}

func byName(namespace, name, otherNamespace, otherName string) int {
	return cmp.Or(strings.Compare(namespace, otherNamespace), strings.Compare(name, otherName))
}
