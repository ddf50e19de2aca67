package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// servicePort is one node port of a Service.
type servicePort struct {
	protocol string
	nodePort int32
}

// servicePorts gives the node ports that a Service has or asks for.
func servicePorts(u *unstructured.Unstructured) []servicePort {
	ports, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ports")
	var out []servicePort
	for _, item := range list(ports) {
		if port, ok := nodePortOf(item); ok {
			out = append(out, port)
		}
	}
	return out
}

func nodePortOf(item any) (servicePort, bool) {
	m, _ := item.(map[string]any)
	n, _ := number(m["nodePort"])
	port, ok := n.(int64)
	if !ok || port <= 0 || port > 65535 {
		return servicePort{}, false
	}
	protocol, _ := m["protocol"].(string)
	if protocol == "" {
		protocol = "TCP"
	}
	return servicePort{protocol: protocol, nodePort: int32(port)}, true
}

// applyServices applies Services in an order in which no two hold one node port
// at a time: who gives a port up goes before who takes it, a Service that leaves
// goes first, and where ports go round in a circle one Service moves to a free
// port until the others are through.
func (p *pass) applyServices(ctx context.Context, wave []*desired) {
	wanted := map[*desired][]servicePort{}
	for _, d := range wave {
		wanted[d] = servicePorts(d.unstructured())
	}
	p.releaseLeaving(ctx, wanted)
	parked := map[*desired]bool{}
	for remaining := wave; len(remaining) > 0; {
		var ready, waiting []*desired
		for _, d := range remaining {
			if p.waitsFor(d, remaining, wanted) == nil {
				ready = append(ready, d)
			} else {
				waiting = append(waiting, d)
			}
		}
		if len(ready) == 0 {
			d := inCircle(waiting, func(d *desired) *desired { return p.waitsFor(d, remaining, wanted) })
			if parked[d] || p.over(ctx) || p.park(ctx, d, wave, wanted[d]) != nil {
				ready, waiting = waiting, nil // the API server says what is wrong
			} else {
				parked[d] = true
				continue
			}
		}
		each(ctx, p, ready, func(d *desired) { p.put(ctx, d) })
		remaining = waiting
	}
}

// inCircle follows who waits for whom until it comes round.
func inCircle(waiting []*desired, next func(*desired) *desired) *desired {
	d := waiting[0]
	for range waiting {
		d = next(d)
	}
	return d
}

// waitsFor gives a Service that has a node port which d takes over and which
// that Service gives up; nil if there is none.
func (p *pass) waitsFor(d *desired, others []*desired, wanted map[*desired][]servicePort) *desired {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range wanted[d] {
		if slices.Contains(p.portsOf(d.ref), port) {
			continue
		}
		for _, other := range others {
			if other != d && slices.Contains(p.portsOf(other.ref), port) && !slices.Contains(wanted[other], port) {
				return other
			}
		}
	}
	return nil
}

// portsOf gives the node ports that a Service of ours has now; p.mu is held.
func (p *pass) portsOf(ref federation.ObjectRef) []servicePort {
	if rec := p.objects[ref]; rec != nil && rec.live != nil {
		return rec.live.ports
	}
	return nil
}

// releaseLeaving deletes, ahead of all others, the Services that leave and whose
// node ports a new one claims.
func (p *pass) releaseLeaving(ctx context.Context, wanted map[*desired][]servicePort) {
	claimed := map[servicePort]bool{}
	for _, ports := range wanted {
		for _, port := range ports {
			claimed[port] = true
		}
	}
	for _, app := range p.apps {
		if !p.mayPrune(app) {
			continue
		}
		for _, ref := range p.leaving(app) {
			p.mu.Lock()
			gives := slices.ContainsFunc(p.portsOf(ref), func(port servicePort) bool { return claimed[port] })
			p.mu.Unlock()
			if gives && ref.GroupKind() == serviceKind && !p.over(ctx) {
				p.remove(ctx, app, ref)
			}
		}
	}
}

// parkTries bounds how many ports are tried for a Service that makes room.
const parkTries = 32

// park applies the Service as the plan says, but with free ports in place of
// those that others still have: so it gives up its own.
func (p *pass) park(ctx context.Context, d *desired, wave []*desired, ports []servicePort) error {
	mapping, err := p.find(ctx, d)
	if err != nil {
		return err
	}
	p.mu.Lock()
	used := map[int32]bool{}
	for _, port := range ports {
		used[port.nodePort] = true
	}
	for ref := range p.objects {
		for _, port := range p.portsOf(ref) {
			used[port.nodePort] = true
		}
	}
	held := map[servicePort]bool{}
	for _, other := range wave {
		for _, port := range p.portsOf(other.ref) {
			held[port] = held[port] || other != d
		}
	}
	p.mu.Unlock()

	p.begin(d, mapping)
	var answer *unstructured.Unstructured
	next := p.freePorts(d, used)
	for range parkTries {
		var data []byte
		if data, err = parkedForm(d, held, next); err != nil {
			break
		}
		answer, err = p.patchData(ctx, d, mapping, data)
		if err == nil || !apierrors.IsInvalid(err) || newError("apply", d.ref, "", err).Class != ClassPortTaken {
			break
		}
	}
	p.end(d, outcome{answer: answer}, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if rec := p.objects[d.ref]; rec != nil {
		rec.want = "" // this is not yet what Git says
	}
	return err
}

// freePorts gives ports of the range that none of ours has, in an order that
// depends on the object, so that Services that make room at a time do not meet.
func (p *pass) freePorts(d *desired, used map[int32]bool) func() int32 {
	size := p.NodePorts.Last - p.NodePorts.First + 1
	h := fnv.New32a()
	h.Write([]byte(d.ref.String()))
	at := int32(h.Sum32() % uint32(size))
	return func() int32 {
		for range size {
			at = (at + 1) % size
			port := p.NodePorts.First + at
			if used[port] {
				continue
			}
			used[port] = true
			return port
		}
		return p.NodePorts.First // nothing is free: the API server says so
	}
}

// parkedForm is what is sent for the Service while others have its ports.
func parkedForm(d *desired, held map[servicePort]bool, next func() int32) ([]byte, error) {
	u := d.unstructured()
	ports, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ports")
	for _, item := range list(ports) {
		if port, ok := nodePortOf(item); ok && held[port] {
			item.(map[string]any)["nodePort"] = int64(next())
		}
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return data, nil
}

// nameHolder says who has the node port that an object asked for in vain. The API
// server does not, so that it may take a list of all Services to know.
func (p *pass) nameHolder(ctx context.Context, e *Error) {
	n, err := strconv.ParseInt(e.Port, 10, 32)
	if err != nil {
		return
	}
	port := int32(n)
	if holder, ok := p.findHolder(ctx, port); ok && holder != e.Object {
		e.Err = fmt.Errorf("nodePort %d is held by %s: %w", port, holder, e.Err)
	}
}

// findHolder looks for the Service that has a node port. Where Services may not be
// listed, the holder stays unnamed.
func (p *pass) findHolder(ctx context.Context, port int32) (federation.ObjectRef, bool) {
	const page = 500
	for next := ""; ; {
		list, err := request(ctx, p.Applier, func(ctx context.Context) (*unstructured.UnstructuredList, error) {
			return p.Client.Resource(services).List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		})
		if err != nil {
			return federation.ObjectRef{}, false
		}
		for i := range list.Items {
			ports, _, _ := unstructured.NestedFieldNoCopy(list.Items[i].Object, "spec", "ports")
			items, _ := ports.([]any)
			if slices.ContainsFunc(items, func(item any) bool {
				s, ok := nodePortOf(item)
				return ok && s.nodePort == port
			}) {
				return federation.ObjectRef{Kind: serviceKind.Kind, Namespace: list.Items[i].GetNamespace(), Name: list.Items[i].GetName()}, true
			}
		}
		if next = list.GetContinue(); next == "" {
			return federation.ObjectRef{}, false
		}
	}
}
