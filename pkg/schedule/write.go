package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// writing identifies an object with numbers written into it.
type writing struct {
	object  *federation.Object
	numbers string
}

// write gives the objects of a bundle as the cluster should get them, and those
// that it should not get now.
func (p *pass) write(i int, b *bundle) ([]*federation.Object, []federation.Withheld) {
	objects := b.placed
	withheld := slices.Clone(b.withheld)
	copied := false
	for at, o := range b.placed {
		out, w := o, (*federation.Withheld)(nil)
		if s := p.ported[o]; s != nil {
			out, w = p.writePorts(i, s, o)
		} else if d := p.divided[o]; d != nil {
			out, w = p.writeReplicas(i, d, o)
		}
		if out == o && w == nil {
			if copied {
				objects = append(objects, o)
			}
			continue
		}
		if !copied {
			objects, copied = slices.Clone(b.placed[:at]), true
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

// writePorts puts the node ports that were decided into a Service.
func (p *pass) writePorts(i int, s *service, o *federation.Object) (*federation.Object, *federation.Withheld) {
	if w := s.withheld[i]; w != nil {
		return nil, w
	}
	ports := s.variants[o].Ports
	numbers := make([]int32, len(ports))
	for at, port := range ports {
		for _, d := range s.decisions {
			if d.Protocol == port.Protocol && d.Port == port.Port && !port.HealthCheck {
				numbers[at] = d.NodePort
			}
		}
	}
	return p.withNodePorts(o, ports, numbers), nil
}

// writeReplicas puts the share of a cluster into a workload. Where an autoscaler
// sets the replicas they are left out, for it to own them.
func (p *pass) writeReplicas(i int, w *divided, o *federation.Object) (*federation.Object, *federation.Withheld) {
	switch {
	case w.refusal != "":
		return nil, &federation.Withheld{Object: o.Ref, File: o.File, Reason: w.refusal}
	case p.scaled[o.Ref]:
		return p.withReplicas(o, nil), nil
	case w.shares == nil:
		return o, nil
	}
	share := p.replicas[w.decision].Shares[w.shares[i]]
	if p.clusters[i].standing == up {
		return p.withReplicas(o, &share.Replicas), nil
	}
	// It cannot be written now, and at its return the plan is another: until then
	// nothing of what runs there is changed.
	if share.Live < 0 {
		return nil, &federation.Withheld{
			Object: o.Ref, File: o.File,
			Reason: "waits until it is known what the cluster runs", Waits: []string{share.Cluster},
		}
	}
	return p.withReplicas(o, &share.Live), nil
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

// withNodePorts puts node ports into a Service, one for each of its ports in the
// order of its reading; 0 leaves the port as it is.
func (p *pass) withNodePorts(o *federation.Object, ports []portSpec, numbers []int32) *federation.Object {
	changed := false
	var id strings.Builder
	for i, n := range numbers {
		changed = changed || n != 0 && n != ports[i].NodePort
		fmt.Fprintf(&id, "%d ", n)
	}
	if !changed {
		return o
	}
	return p.written.get(writing{o, id.String()}, func() *federation.Object {
		return rewrite(o, func(spec map[string]any) {
			list, _ := spec["ports"].([]any)
			for i, port := range ports {
				for _, item := range list {
					entry, _ := item.(map[string]any)
					if numbers[i] != 0 && matches(entry, port) {
						entry["nodePort"] = int64(numbers[i])
					}
				}
			}
		})
	})
}

// matches says whether an entry of spec.ports is the port: the list's key is
// protocol and port.
func matches(entry map[string]any, port portSpec) bool {
	protocol, _ := entry["protocol"].(string)
	if protocol == "" {
		protocol = "TCP"
	}
	number, _ := entry["port"].(json.Number)
	return protocol == port.Protocol && number.String() == strconv.Itoa(int(port.Port))
}

// rewrite gives the object with another spec.
func rewrite(o *federation.Object, change func(spec map[string]any)) *federation.Object {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(o.JSON))
	decoder.UseNumber() // what is not changed stays to the letter
	if err := decoder.Decode(&object); err != nil {
		panic(fmt.Sprintf("decode %s of %s: %v", o.Ref, o.File, err)) // it was encoded by NewObject
	}
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		object["spec"] = spec
	}
	change(spec)
	out, err := federation.NewObject(object, o.File)
	if err != nil {
		panic(fmt.Sprintf("encode %s of %s: %v", o.Ref, o.File, err))
	}
	return out
}
