package federation

import (
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// What a file of facts says of nodes and of load balancers.

type nodeDocument struct {
	Name       string    `json:"name"`
	ProviderID string    `json:"providerID,omitempty"`
	Zone       string    `json:"zone,omitempty"`
	Address    string    `json:"address,omitempty"`
	Ready      *bool     `json:"ready,omitempty"`
	Since      timestamp `json:"since,omitempty"`
	Excluded   bool      `json:"excluded,omitempty"`
}

func newNodeDocument(n Node) nodeDocument {
	return nodeDocument{
		Name: n.Name, ProviderID: n.ProviderID, Zone: n.Zone, Address: n.Address,
		Ready: unless(n.Ready, true), Since: newTimestamp(n.Since), Excluded: n.Excluded,
	}
}

func (d *nodeDocument) facts() Node {
	return Node{
		Name: d.Name, ProviderID: d.ProviderID, Zone: d.Zone, Address: d.Address,
		Ready: orDefault(d.Ready, true), Since: d.Since.time(), Excluded: d.Excluded,
	}
}

type balancerDocument struct {
	Ingress     string                    `json:"ingress"`
	App         string                    `json:"app,omitempty"`
	File        string                    `json:"file,omitempty"`
	Address     string                    `json:"address,omitempty"`
	AddressName string                    `json:"addressName,omitempty"`
	Complete    bool                      `json:"complete,omitempty"`
	Refused     string                    `json:"refused,omitempty"`
	Waits       bool                      `json:"waits,omitempty"`
	Since       timestamp                 `json:"since,omitempty"`
	Clusters    []balancerClusterDocument `json:"clusters,omitempty"`
	Resources   []string                  `json:"resources,omitempty"`
}

type balancerClusterDocument struct {
	Cluster   string `json:"cluster"`
	State     string `json:"state"`
	Endpoints int64  `json:"endpoints,omitempty"`
	Healthy   int64  `json:"healthy,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func newBalancerDocument(b *Balancer) balancerDocument {
	d := balancerDocument{
		Ingress: b.Ingress.String(), App: b.App, File: b.File, Address: b.Address, AddressName: b.AddressName,
		Complete: b.Complete, Refused: b.Refused.String(), Waits: b.Waits, Since: newTimestamp(b.Since), Resources: b.Resources,
	}
	for _, c := range b.Clusters {
		d.Clusters = append(d.Clusters, balancerClusterDocument{
			Cluster: c.Cluster, State: string(c.State), Endpoints: int64(c.Endpoints), Healthy: int64(c.Healthy), Reason: c.Reason.String(),
		})
	}
	return d
}

func (d *balancerDocument) facts() Balancer {
	ref, _ := ParseObjectRef(d.Ingress) // checked before
	b := Balancer{
		Ingress: ref, App: d.App, File: d.File, Address: d.Address, AddressName: d.AddressName,
		Complete: d.Complete, Refused: untrusted.Said(d.Refused), Waits: d.Waits, Since: d.Since.time(), Resources: d.Resources,
	}
	for _, c := range d.Clusters {
		b.Clusters = append(b.Clusters, BalancerCluster{
			Cluster: c.Cluster, State: TrafficState(c.State), Endpoints: int(c.Endpoints), Healthy: int(c.Healthy), Reason: untrusted.Said(c.Reason),
		})
	}
	slices.SortFunc(b.Clusters, func(a, b BalancerCluster) int { return strings.Compare(a.Cluster, b.Cluster) })
	return b
}
