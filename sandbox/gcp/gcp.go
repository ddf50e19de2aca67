// Package gcp gives a sandbox a Compute Engine: the stand-in of package gcetest,
// whose machines are the nodes of the clusters and whose load balancers lead to what
// these answer.
//
// There is one project, [cluster.Project], with one network, "default", which has a
// subnetwork "default" in every region. A Node whose providerID begins with "gce://"
// is an instance for as long as the Node is there, with the tag of its cluster's
// machines. Nodes elsewhere are none, and are reached by their addresses alone.
//
// Over the sandbox's control socket, below /gcp:
//
//	POST   /faults       a [Fault] as JSON       → {"id":1}
//	DELETE /faults/1     ends it; /faults: all
//	GET    /calls        the log of calls, as gcetest.Call; DELETE empties it
//	GET    /snapshot     what there is now, as gcetest.Snapshot
//	GET    /history      what was changed in each resource, as gcetest.Change
package gcp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/sandbox/cluster"
)

// network is the name of the network and of its subnetworks.
const network = "default"

// Config says what to start.
type Config struct {
	Clusters []*cluster.Cluster
	// Dial reaches a node at its own address.
	Dial          func(ctx context.Context, network, address string) (net.Conn, error)
	OperationTime time.Duration // how long the slowest operations take
	ProbeInterval time.Duration // replaces that of health checks; 0 leaves it
	Log           string        // the path of the log of calls
}

// Engine is a running stand-in. It answers requests below /gcp.
type Engine struct {
	http.Handler
	description Description
	server      *gcetest.Server
	log         io.Closer

	mu       sync.Mutex                    // protects machines
	machines map[string]map[machine]string // by cluster: those that there are, with their addresses
}

// machine names an instance.
type machine struct{ project, zone, name string }

// Description says how to reach the stand-in.
type Description struct {
	Endpoint string `json:"endpoint"` // URL of compute/v1
	Proxy    string `json:"proxy"`    // URL of the HTTP proxy that leads to addresses of load balancers
	Project  string `json:"project"`
	Network  string `json:"network"`
	// Outside are the clusters whose machines are elsewhere.
	Outside []string `json:"outside,omitempty"`
	// OperationTimes are how long operations take, by collection.
	OperationTimes map[string]string `json:"operationTimes"`
}

// Start starts the stand-in.
func Start(c Config) (*Engine, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	server := gcetest.New(gcetest.Options{
		Projects:      []string{cluster.Project},
		OperationTime: operationTime(c.OperationTime),
		ProbeInterval: c.ProbeInterval,
		Log:           log,
		Dial: func(ctx context.Context, address string, port int) (net.Conn, error) {
			return c.Dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		},
	})
	e := &Engine{Handler: newControl(server), server: server, log: log, machines: map[string]map[machine]string{}}
	if err := server.Start(); err != nil {
		e.Close()
		return nil, err
	}
	e.prepare(c.Clusters)
	e.description = Description{
		Endpoint:       server.URL(),
		Proxy:          server.TrafficProxy(),
		Project:        cluster.Project,
		Network:        network,
		OperationTimes: map[string]string{},
	}
	for _, member := range c.Clusters {
		if member.Outside() {
			e.description.Outside = append(e.description.Outside, member.Name())
		}
	}
	for collection, took := range OperationTimes(c.OperationTime) {
		e.description.OperationTimes[collection] = took.String()
	}
	return e, nil
}

// prepare makes the network and what it has in the regions of the clusters. Those
// elsewhere have endpoint groups in the zone that is nearest to them.
func (e *Engine) prepare(clusters []*cluster.Cluster) {
	e.server.AddNetwork(cluster.Project, network)
	for _, c := range clusters {
		e.server.AddZone(cluster.Project, c.Zone().String())
		e.server.AddSubnetwork(cluster.Project, c.Zone().Region, network, network)
	}
}

// Describe says how to reach the stand-in.
func (e *Engine) Describe() *Description { return &e.description }

// Close stops it.
func (e *Engine) Close() {
	e.server.Close()
	_ = e.log.Close()
}

// SetNodes makes the machines of a cluster's Nodes, and removes those of Nodes that are
// gone. nodes are all that the cluster has.
func (e *Engine) SetNodes(c *cluster.Cluster, nodes []*corev1.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	there := map[machine]string{}
	for _, n := range nodes {
		m, ok := machineOf(n.Spec.ProviderID)
		address := internalAddress(n)
		if !ok || address == "" {
			continue
		}
		there[m] = address
		if e.machines[c.Name()][m] != address {
			e.server.SetInstance(instance(m, address, c.Zone().Tag()))
		}
	}
	for m := range e.machines[c.Name()] {
		if _, ok := there[m]; !ok {
			e.server.RemoveInstance(m.project, m.zone, m.name)
		}
	}
	e.machines[c.Name()] = there
}

func instance(m machine, address, tag string) gcetest.Instance {
	return gcetest.Instance{
		Project: m.project, Zone: m.zone, Name: m.name,
		Network: network, Subnetwork: network,
		Address:        address,
		Tags:           []string{tag},
		ServiceAccount: fmt.Sprintf("nodes@%s.iam.gserviceaccount.com", m.project),
	}
}

func internalAddress(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// machineOf reads the providerID of a Node on Compute Engine.
func machineOf(providerID string) (machine, bool) {
	path, ok := strings.CutPrefix(providerID, "gce://")
	parts := strings.Split(path, "/")
	if !ok || len(parts) != 3 {
		return machine{}, false
	}
	return machine{project: parts[0], zone: parts[1], name: parts[2]}, true
}
