package federation

import (
	"fmt"
	"strconv"
	"time"
)

// facts finds what the schema of a file of facts cannot express.
func (c *checker) facts(f *factsDocument) {
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

func (c *checker) timestamp(t timestamp, at ...string) {
	if t == "" {
		return
	}
	if _, err := time.Parse(time.RFC3339, string(t)); err != nil {
		c.problem(fmt.Sprintf("%q is no time: write it as 2026-01-02T15:04:05Z", t), at...)
	}
}
