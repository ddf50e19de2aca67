package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// The class of Google's ingress controller, and the annotations that it reads and writes.
const (
	glbcClass            = "gce"
	annotationStaticIP   = "kubernetes.io/ingress.global-static-ip-name"
	annotationForwarding = "ingress.kubernetes.io/forwarding-rule"
	annotationURLMap     = "ingress.kubernetes.io/url-map"
)

// changeShown is how long a changed address is reported.
const changeShown = 24 * time.Hour

// shares reports whether the Ingress is for Google's controller, the only one that can
// share one address between clusters. An Ingress without a class counts: a cluster with
// another default class has its API server write that class into the object.
func shares(o federation.Observation) bool {
	return o.ClassName == "" || o.ClassName == glbcClass
}

// addresses collects the addresses of fedsync's load balancers, and those that Ingresses
// and Gateways report in clusters that are visible now.
func (s *summary) addresses() []Address {
	type key struct {
		address string
		object  federation.ObjectRef
	}
	found := map[key][]string{}
	for i := range s.report.Balancers {
		if b := &s.report.Balancers[i]; b.Address != "" {
			found[key{untrusted.Line(b.Address), b.Ingress}] = s.behind(b)
		}
	}
	for _, c := range s.report.Clusters {
		if !s.members[c.Name] || !c.Visible() {
			continue
		}
		for _, o := range c.Objects {
			if !o.Object.IsIngress() && !o.Object.IsGateway() {
				continue
			}
			for _, a := range o.Addresses {
				k := key{untrusted.Line(a), o.Object}
				if !slices.Contains(found[k], c.Name) {
					found[k] = append(found[k], c.Name)
				}
			}
		}
	}
	list := make([]Address, 0, len(found))
	for k, clusters := range found {
		slices.Sort(clusters)
		list = append(list, Address{Address: k.address, Object: k.object, Clusters: clusters})
	}
	slices.SortFunc(list, func(a, b Address) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), a.Object.Compare(b.Object))
	})
	return list
}

// ingressState is one Ingress in all clusters whose controller can share its address.
type ingressState struct {
	app      string
	byAddr   map[string][]string // clusters by the addresses they report, joined
	google   bool                // Google's controller was seen, or the Ingress names its class
	static   string              // the static address it asks for
	observed int
}

// addressFindings requires one address everywhere for each Ingress, and waits for
// Ingresses that have none.
func (s *summary) addressFindings() {
	states := map[federation.ObjectRef]*ingressState{}
	for _, c := range s.report.Clusters {
		if !s.members[c.Name] || !c.Visible() || !s.judges(c.Name) {
			continue
		}
		wishes := s.wishes(c.Name)
		for _, o := range c.Objects {
			if !o.Object.IsIngress() {
				continue
			}
			b := s.balancer[o.Object]
			if len(o.Addresses) == 0 && b == nil && o.ClassName != federation.ClassGlobal {
				s.noAddress(c, o)
			}
			if !shares(o) && b == nil {
				continue
			}
			state := states[o.Object]
			if state == nil {
				state = &ingressState{app: o.App, byAddr: map[string][]string{}}
				states[o.Object] = state
			}
			state.add(c.Name, o, wishes[o.Object])
		}
	}
	for _, object := range slices.SortedFunc(maps.Keys(states), federation.ObjectRef.Compare) {
		s.sharedFinding(object, states[object])
	}
}

func (i *ingressState) add(cluster string, o federation.Observation, wish ingressWish) {
	i.observed++
	i.static = cmp.Or(i.static, wish.static)
	_, forwarding := o.Annotations[annotationForwarding]
	_, urlMap := o.Annotations[annotationURLMap]
	i.google = i.google || o.ClassName == glbcClass || forwarding || urlMap
	if len(o.Addresses) > 0 {
		addresses := slices.Sorted(slices.Values(o.Addresses))
		key := untrusted.Line(strings.Join(slices.Compact(addresses), ", "))
		i.byAddr[key] = append(i.byAddr[key], cluster)
	}
}

// sharedFinding reports an Ingress that has several addresses, or one that may not last.
func (s *summary) sharedFinding(object federation.ObjectRef, state *ingressState) {
	if b := s.balancer[object]; b != nil {
		s.otherAddressFinding(b, state.byAddr, state.google)
		return
	}
	f := federation.Finding{ID: federation.FindingAddresses, App: state.app, Object: object}
	switch {
	case len(state.byAddr) > 1:
		f.Severity = federation.SeverityError
		f.Message = untrusted.Textf("%d addresses instead of one: %s", len(state.byAddr), list(state.byAddr))
		f.Remedy = untrusted.Textf("check that the address %q is global and exists in the project of every cluster", state.static)
		if state.static == "" {
			f.Remedy = untrusted.New(reserve(object))
		}
	case state.static == "" && len(state.byAddr) == 1 && (state.google || s.Federation.GCP != nil) && s.Plan != nil && !s.Federation.Balances():
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.Textf("the address %s is ephemeral: it is lost when the load balancer is recreated", list(state.byAddr))
		f.Remedy = untrusted.New(reserve(object))
	default:
		return
	}
	s.note(f)
}

func reserve(object federation.ObjectRef) string {
	return fmt.Sprintf("reserve a global address (%s) and set the annotation %s: %s",
		untrusted.Command("gcloud compute addresses create %s --global", object.Name), annotationStaticIP, object.Name)
}

// list names each address and the clusters that report it, the rarest first: that is the
// one to check.
func list(byAddr map[string][]string) string {
	addresses := slices.SortedFunc(maps.Keys(byAddr), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(byAddr[a]), len(byAddr[b])), strings.Compare(a, b))
	})
	if len(addresses) == 1 {
		return addresses[0]
	}
	parts := make([]string, 0, len(addresses))
	for _, a := range addresses {
		clusters := slices.Sorted(slices.Values(byAddr[a]))
		parts = append(parts, fmt.Sprintf("%s in %s", a, strings.Join(clusters, ", ")))
	}
	return strings.Join(parts, "; ")
}

// noAddress waits for an Ingress's address. Where the controller is not Google's, it
// waits only while the object is young, and warns after that: some controllers never
// report an address.
func (s *summary) noAddress(c Cluster, o federation.Observation) {
	if o.Health == federation.Degraded {
		return // that is a finding already
	}
	f := federation.Finding{
		ID: federation.FindingAddress, Severity: federation.SeverityWarning, Cluster: c.Name, App: o.App, Object: o.Object,
		Message: untrusted.Const("still has no address"),
		Remedy:  untrusted.New("see the ingress controller's events: " + describe(s.context(c.Name), o.Object)),
	}
	if !o.Message.IsZero() {
		f.Message = untrusted.Textf("%s: %s", f.Message, o.Message.String())
	}
	if !shares(o) && (o.Created.IsZero() || s.Now.Sub(o.Created) >= s.Deadline) {
		f.Message = untrusted.Textf("the controller of class %q reports no address", untrusted.Line(o.ClassName))
		s.note(f)
		return
	}
	s.waits = append(s.waits, wait{finding: f, words: place(f) + " has no address yet", mild: !shares(o)})
}

// addressChanges reports that an Ingress's address changed: clients may still use the old
// one. The finding is repeated for a day.
func (s *summary) addressChanges() {
	if s.Previous == nil {
		return
	}
	s.balancerAddressChanges()
	before, after := reported(s.Previous.Addresses), reported(s.report.Addresses)
	for _, c := range s.report.Clusters {
		for object, now := range after[c.Name] {
			was := before[c.Name][object]
			if len(was) == 0 || slices.Equal(was, now) || s.balancer[object] != nil {
				continue
			}
			s.note(federation.Finding{
				ID: federation.FindingAddressChanged, Severity: federation.SeverityWarning, Cluster: c.Name, Object: object, Since: s.Now,
				Message: untrusted.Textf("the address changed from %s to %s", strings.Join(was, ", "), strings.Join(now, ", ")),
				Remedy:  untrusted.Const("point DNS at the new address; a reserved static address does not change"),
			})
		}
	}
	for _, f := range s.Previous.Findings {
		again := s.noted.contains(f)
		counts := s.members[f.Cluster] || f.Cluster == "" && s.balancer[f.Object] != nil
		if f.ID == federation.FindingAddressChanged && counts && !again && s.Now.Sub(f.Since) < changeShown {
			s.note(f)
		}
	}
}

// balancerAddressChanges reports that a load balancer of ours has another address than
// before.
func (s *summary) balancerAddressChanges() {
	for _, was := range s.Previous.Balancers {
		b := s.balancer[was.Ingress]
		if b == nil || was.Address == "" || b.Address == "" || was.Address == b.Address {
			continue
		}
		s.note(federation.Finding{
			ID: federation.FindingAddressChanged, Severity: federation.SeverityWarning, Object: b.Ingress, Since: s.Now,
			Message: untrusted.Textf("the address changed from %s to %s", was.Address, b.Address),
			Remedy:  untrusted.Const("point DNS at the new address"),
		})
	}
}

// reported indexes addresses by cluster, then by Ingress; they are sorted.
func reported(addresses []Address) map[string]map[federation.ObjectRef][]string {
	m := map[string]map[federation.ObjectRef][]string{}
	for _, a := range addresses {
		for _, c := range a.Clusters {
			if m[c] == nil {
				m[c] = map[federation.ObjectRef][]string{}
			}
			m[c][a.Object] = append(m[c][a.Object], a.Address)
		}
	}
	return m
}

// ingressWish is what an Ingress in Git requests of its controller.
type ingressWish struct {
	static string // the name of a reserved global address
}

// wishes reads the Ingresses of a cluster's plan. Clusters share Objects, so each is
// decoded only once.
func (s *summary) wishes(cluster string) map[federation.ObjectRef]ingressWish {
	wishes := map[federation.ObjectRef]ingressWish{}
	for _, o := range s.planned(cluster) {
		if !o.Ref.IsIngress() {
			continue
		}
		wish, known := s.ingress[o]
		if !known {
			var content struct {
				Metadata struct {
					Annotations map[string]string `json:"annotations"`
				} `json:"metadata"`
			}
			// An object that does not decode was refused long before; it requests nothing
			// here.
			if json.Unmarshal(o.JSON, &content) == nil {
				wish.static = content.Metadata.Annotations[annotationStaticIP]
			}
			s.ingress[o] = wish
		}
		wishes[o.Ref] = wish
	}
	return wishes
}
