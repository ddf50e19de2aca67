package fedfile

import (
	"fmt"
	"strconv"

	"github.com/fedsync/fedsync/pkg/federation"
)

// facts finds what the schema of a file of facts cannot express.
func (c *checker) facts(f *factsDocument) {
	c.balancers(f.Balancers)
	clusters := map[string]int{}
	for i := range f.Clusters {
		cluster := &f.Clusters[i]
		at := func(steps ...string) []string { return append([]string{"clusters", strconv.Itoa(i)}, steps...) }
		if first, twice := clusters[cluster.Name]; twice && cluster.Name != "" {
			c.problem(fmt.Sprintf("cluster %q is listed twice, first as clusters[%d]", cluster.Name, first), at("name")...)
		} else {
			clusters[cluster.Name] = i
		}
		nodes := map[string]int{}
		for j := range cluster.Facts.Nodes {
			name := cluster.Facts.Nodes[j].Name
			if first, twice := nodes[name]; twice && name != "" {
				c.problem(fmt.Sprintf("node %q is listed twice, first as nodes[%d]", name, first), at("nodes", strconv.Itoa(j))...)
			}
			nodes[name] = j
		}
		workloads := map[federation.ObjectRef]int{}
		for j := range cluster.Facts.Workloads {
			ref := cluster.Facts.Workloads[j].Object
			if first, twice := workloads[ref]; twice && ref.Name != "" {
				c.problem(fmt.Sprintf("%s is listed twice, first as workloads[%d]", ref, first), at("workloads", strconv.Itoa(j))...)
			}
			workloads[ref] = j
		}
	}
}

func (c *checker) balancers(balancers []federation.Balancer) {
	ingresses := map[federation.ObjectRef]int{}
	for i := range balancers {
		ref := balancers[i].Ingress
		if first, twice := ingresses[ref]; twice && ref.Name != "" {
			c.problem(fmt.Sprintf("%s is listed twice, first as balancers[%d]", ref, first), "balancers", strconv.Itoa(i), "ingress")
		}
		ingresses[ref] = i
	}
}
