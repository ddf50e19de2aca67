package federation

import (
	"fmt"
	"strconv"
	"time"
)

// facts finds what the schema of a file of facts cannot express.
func (c *checker) facts(f *factsDocument) {
	c.balancers(f.Balancers)
	clusters := map[string]int{}
	for i := range f.Clusters {
		cluster := &f.Clusters[i]
		at := func(steps ...string) []string { return append([]string{"clusters", strconv.Itoa(i)}, steps...) }
		if first, twice := clusters[cluster.Name]; twice && cluster.Name != "" {
			c.problem(fmt.Sprintf("cluster %q stands twice, first as clusters[%d]", cluster.Name, first), at("name")...)
		} else {
			clusters[cluster.Name] = i
		}
		c.timestamp(cluster.Since, at("since")...)
		c.timestamp(cluster.AwaySince, at("awaySince")...)
		for j := range cluster.Ingresses {
			c.timestamp(cluster.Ingresses[j].Created, at("ingresses", strconv.Itoa(j), "created")...)
		}
		nodes := map[string]int{}
		for j := range cluster.Nodes {
			name := cluster.Nodes[j].Name
			c.timestamp(cluster.Nodes[j].Since, at("nodes", strconv.Itoa(j), "since")...)
			if first, twice := nodes[name]; twice && name != "" {
				c.problem(fmt.Sprintf("node %q stands twice, first as nodes[%d]", name, first), at("nodes", strconv.Itoa(j))...)
			}
			nodes[name] = j
		}
		for app, refs := range cluster.Inventory {
			for j, ref := range refs {
				if _, err := ParseObjectRef(ref); err != nil {
					c.problem(err.Error(), at("inventory", app, strconv.Itoa(j))...)
				}
			}
		}
		workloads := map[ObjectRef]int{}
		for j := range cluster.Workloads {
			ref := cluster.Workloads[j].object()
			if first, twice := workloads[ref]; twice && ref.Name != "" {
				c.problem(fmt.Sprintf("%s stands twice, first as workloads[%d]", ref, first), at("workloads", strconv.Itoa(j))...)
			}
			workloads[ref] = j
		}
	}
}

func (c *checker) balancers(balancers []balancerDocument) {
	ingresses := map[string]int{}
	for i := range balancers {
		b := &balancers[i]
		at := func(field string) []string { return []string{"balancers", strconv.Itoa(i), field} }
		c.timestamp(b.Since, at("since")...)
		if _, err := ParseObjectRef(b.Ingress); err != nil && b.Ingress != "" {
			c.problem(err.Error(), at("ingress")...)
		}
		if first, twice := ingresses[b.Ingress]; twice && b.Ingress != "" {
			c.problem(fmt.Sprintf("%s stands twice, first as balancers[%d]", b.Ingress, first), at("ingress")...)
		}
		ingresses[b.Ingress] = i
	}
}

func (c *checker) timestamp(t timestamp, at ...string) {
	if t == "" {
		return
	}
	if _, err := time.Parse(time.RFC3339, string(t)); err != nil {
		c.problem(fmt.Sprintf("%q is no time: write it as 2026-01-02T15:04:05Z", t), at...)
	}
}
