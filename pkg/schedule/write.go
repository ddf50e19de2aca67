package schedule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

// writing identifies an object with numbers written into it.
type writing struct {
	object  *federation.Object
	numbers string
}

// write returns the objects of a bundle as they are to be applied to the cluster, and the
// objects that are withheld from it now.
func (p *pass) write(i int, b *bundle) ([]*federation.Object, []federation.Withheld) {
	objects := make([]*federation.Object, 0, len(b.placed))
	withheld := slices.Clone(b.withheld)
	for _, o := range b.placed {
		var out *federation.Object
		var w *federation.Withheld
		switch {
		case !o.decided():
			out, w = p.writeScaled(i, o.object)
		case o.role.service != nil:
			out, w = p.writePorts(i, o)
		case o.role.ingress != nil:
			out, w = p.writeIngress(i, o)
		default:
			out, w = p.writeReplicas(i, o)
		}
		if w != nil {
			withheld = append(withheld, *w)
			continue
		}
		objects = append(objects, out)
	}
	slices.SortFunc(withheld, func(a, b federation.Withheld) int { return a.Object.Compare(b.Object) })
	return objects, withheld
}

// writePorts writes the decided node ports into a Service.
func (p *pass) writePorts(i int, o placement) (*federation.Object, *federation.Withheld) {
	if w := o.role.service.withheld[i]; w != nil {
		return nil, w
	}
	n := o.role.numbers()
	if n.open && !p.holds(i, o.object.Ref) {
		// Without a number, the API server would choose one itself.
		return nil, &federation.Withheld{Object: o.object.Ref, File: o.object.File, Reason: "its node port is not decided"}
	}
	return p.withNodePorts(o.object, n), nil
}

// holds reports whether a Service has a node port in a cluster.
func (p *pass) holds(i int, ref federation.ObjectRef) bool {
	holders := p.holders[i]
	if holders == nil {
		holders = map[federation.ObjectRef]bool{}
		for _, n := range p.clusters[i].facts.NodePorts {
			holders[n.Holder()] = true
		}
		p.holders[i] = holders
	}
	return holders[ref]
}

// portNumbers are node ports for the ports of a Service, in the order of its
// reading; 0 leaves a port unchanged.
type portNumbers struct {
	ports   []ports.Port
	numbers []int32
	changed bool   // numbers differ from Git
	open    bool   // at least one number is neither decided nor in Git
	id      string // identifies the numbers
}

// numbers returns what was decided for the ports of a rendering, which is the same
// in every cluster.
func (r *role) numbers() *portNumbers {
	if r.decision != nil {
		return r.decision
	}
	n := &portNumbers{ports: r.ports.Ports, numbers: make([]int32, len(r.ports.Ports))}
	decided := make(map[ports.Key]int32, len(r.service.decisions))
	for _, d := range r.service.decisions {
		decided[ports.Key{Protocol: d.Protocol, Port: d.Port}] = d.NodePort
	}
	for at, port := range n.ports {
		if !port.HealthCheck {
			n.numbers[at] = decided[ports.Key{Protocol: port.Protocol, Port: port.Port}]
		}
		n.open = n.open || n.numbers[at] == 0 && port.NodePort == 0 && !port.HealthCheck
		n.changed = n.changed || n.numbers[at] != 0 && n.numbers[at] != port.NodePort
	}
	n.id = fmt.Sprint(n.numbers)
	r.decision = n
	return n
}

// writeReplicas writes a cluster's share into a workload. If an autoscaler sets the
// replicas, it removes the field, so that the autoscaler owns it.
func (p *pass) writeReplicas(i int, placed placement) (*federation.Object, *federation.Withheld) {
	o, w := placed.object, placed.role.divided
	if w.refusal != "" {
		return nil, &federation.Withheld{Object: o.Ref, File: o.File, Reason: w.refusal}
	}
	switch p.scaling(i, o.Ref) {
	case autoscaled:
		return p.withReplicas(o, nil), nil
	case undecided:
		return nil, p.awaitsScaler(i, o)
	case unscaled:
	}
	if w.shares == nil {
		return o, nil
	}
	share := p.replicas[w.decision].Shares[w.shares[i]]
	if p.clusters[i].standing == replicas.Up {
		return p.withReplicas(o, &share.Replicas), nil
	}
	// The cluster cannot be written now, and there will be another plan when it returns.
	// Until then the replicas that run there stay unchanged.
	if share.Live < 0 {
		return nil, &federation.Withheld{
			Object: o.Ref, File: o.File,
			Reason: "waits until it is known what the cluster runs", Waits: []string{share.Cluster},
		}
	}
	return p.withReplicas(o, &share.Live), nil
}

// writeScaled leaves the replicas of an undivided workload to its autoscaler, if it has
// one in the cluster.
func (p *pass) writeScaled(i int, o *federation.Object) (*federation.Object, *federation.Withheld) {
	switch p.scaling(i, o.Ref) {
	case autoscaled:
		return p.withReplicas(o, nil), nil
	case undecided:
		return nil, p.awaitsScaler(i, o)
	case unscaled:
	}
	return o, nil
}

// awaitsScaler withholds a workload while it is not known who sets its replicas.
func (p *pass) awaitsScaler(i int, o *federation.Object) *federation.Withheld {
	return &federation.Withheld{
		Object: o.Ref, File: o.File,
		Reason: "waits until it is known whether its autoscaler exists", Waits: []string{p.clusters[i].Name},
	}
}

func (p *pass) withReplicas(o *federation.Object, n *int64) *federation.Object {
	numbers := "none"
	if n != nil {
		numbers = strconv.FormatInt(*n, 10)
	}
	return p.written.get(writing{o, numbers}, func() *federation.Object {
		return rewrite(o, func(spec map[string]any) {
			if n == nil {
				delete(spec, "replicas")
			} else {
				spec["replicas"] = *n
			}
		})
	})
}

func (p *pass) withNodePorts(o *federation.Object, n *portNumbers) *federation.Object {
	if !n.changed {
		return o
	}
	return p.written.get(writing{o, n.id}, func() *federation.Object {
		return rewrite(o, func(spec map[string]any) {
			decided := make(map[ports.Key]int32, len(n.ports))
			for i, port := range n.ports {
				decided[ports.Key{Protocol: port.Protocol, Port: port.Port}] = n.numbers[i]
			}
			list, _ := spec["ports"].([]any)
			for _, item := range list {
				entry, _ := item.(map[string]any)
				if number := decided[entryOf(entry)]; number != 0 {
					entry["nodePort"] = int64(number)
				}
			}
		})
	})
}

// entryOf returns the key of an entry of spec.ports, which is its protocol and port.
func entryOf(entry map[string]any) ports.Key {
	protocol, _ := entry["protocol"].(string)
	number, _ := entry["port"].(json.Number)
	port, err := strconv.ParseInt(number.String(), 10, 32)
	if err != nil {
		return ports.Key{} // no port has this key
	}
	return ports.Key{Protocol: cmp.Or(protocol, "TCP"), Port: int32(port)}
}

// rewrite returns a copy of the object with a changed spec.
func rewrite(o *federation.Object, change func(spec map[string]any)) *federation.Object {
	return rewriteWhole(o, func(object map[string]any) { change(section(object, "spec")) })
}

// section returns a map within an object, and creates it if it is missing.
func section(object map[string]any, name string) map[string]any {
	its, ok := object[name].(map[string]any)
	if !ok {
		its = map[string]any{}
		object[name] = its
	}
	return its
}

// rewriteWhole returns a changed copy of the object.
func rewriteWhole(o *federation.Object, change func(object map[string]any)) *federation.Object {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(o.JSON))
	decoder.UseNumber() // unchanged numbers stay literally the same
	if err := decoder.Decode(&object); err != nil {
		panic(fmt.Sprintf("decode %s of %s: %v", o.Ref, o.File, err)) // NewObject encoded it
	}
	change(object)
	out, err := federation.NewObject(object, o.File)
	if err != nil {
		panic(fmt.Sprintf("encode %s of %s: %v", o.Ref, o.File, err))
	}
	return out
}
