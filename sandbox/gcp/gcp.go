// Package gcp runs the stand-in for Compute Engine of package gcetest. Its machines are
// the nodes of the sandbox's clusters, and its load balancers send traffic to them.
//
// There is one project, [cluster.Project], with one network, "default", which has a
// subnetwork "default" in every region. A Node whose providerID begins with "gce://"
// is an instance while the Node exists, with the network tag of its cluster. Other Nodes
// are not instances, and are reached only by their addresses.
//
// Over the sandbox's control socket, below /gcp:
//
//	POST   /faults       a [Fault] as JSON       → {"id":1}
//	DELETE /faults/1     ends it; DELETE /faults ends all
//	GET    /calls        the log of calls, as gcetest.Call; DELETE empties it
//	GET    /snapshot     the current resources, as gcetest.Snapshot
//	GET    /history      the changes of each resource, as gcetest.Change
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

// Config configures the stand-in.
type Config struct {
	Clusters []*cluster.Cluster
	// Dial connects to a node at its own address.
	Dial          func(ctx context.Context, network, address string) (net.Conn, error)
	OperationTime time.Duration // how long the slowest operations take
	ProbeInterval time.Duration // replaces the interval of every health check; 0 leaves it unchanged
	Log           string        // the path of the log of calls
}

// Engine is a running stand-in. It serves requests below /gcp.
type Engine struct {
	http.Handler
	description Description
	server      *gcetest.Server
	log         io.Closer

	mu       sync.Mutex                    // protects machines
	machines map[string]map[machine]string // by cluster: the address of each instance
}

// machine identifies an instance.
type machine struct{ project, zone, name string }

// Description describes how to reach the stand-in.
type Description struct {
	Endpoint string `json:"endpoint"` // URL of compute/v1
	Proxy    string `json:"proxy"`    // URL of the HTTP proxy that reaches the addresses of load balancers
	Project  string `json:"project"`
	Network  string `json:"network"`
	// Outside are the clusters whose machines are not on Compute Engine.
	Outside []string `json:"outside,omitempty"`
	// OperationTimes is how long operations take, by collection.
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

// prepare makes the network, and the zones and subnetworks of the clusters. Clusters
// outside Compute Engine need them too: their endpoint groups are in the nearest zone.
func (e *Engine) prepare(clusters []*cluster.Cluster) {
	e.server.AddNetwork(cluster.Project, network)
	for _, c := range clusters {
		e.server.AddZone(cluster.Project, c.Zone().String())
		e.server.AddSubnetwork(cluster.Project, c.Zone().Region, network, network)
	}
}

// Describe returns the description of the stand-in.
func (e *Engine) Describe() *Description { return &e.description }

// Close stops the stand-in.
func (e *Engine) Close() {
	e.server.Close()
	_ = e.log.Close()
}

// SetNodes creates the instances of a cluster's Nodes, and removes those of deleted
// Nodes. nodes are all Nodes of the cluster.
func (e *Engine) SetNodes(c *cluster.Cluster, nodes []*corev1.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	existing := map[machine]string{}
	for _, n := range nodes {
		m, ok := machineOf(n.Spec.ProviderID)
		address := internalAddress(n)
		if !ok || address == "" {
			continue
		}
		existing[m] = address
		if e.machines[c.Name()][m] != address {
			e.server.SetInstance(instance(m, address, c.Zone().Tag()))
		}
	}
	for m := range e.machines[c.Name()] {
		if _, ok := existing[m]; !ok {
			e.server.RemoveInstance(m.project, m.zone, m.name)
		}
	}
	e.machines[c.Name()] = existing
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

// machineOf parses the providerID of a Node. It reports whether the Node is on Compute
// Engine.
func machineOf(providerID string) (machine, bool) {
	path, ok := strings.CutPrefix(providerID, "gce://")
	parts := strings.Split(path, "/")
	if !ok || len(parts) != 3 {
		return machine{}, false
	}
	return machine{project: parts[0], zone: parts[1], name: parts[2]}, true
}
