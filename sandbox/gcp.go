package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fedsync/fedsync/sandbox/cluster"
	"github.com/fedsync/fedsync/sandbox/gcp"
)

// GCP configures the stand-in for Compute Engine.
type GCP struct {
	// Outside is the number of clusters, counted from the last, whose machines are
	// not on Compute Engine.
	Outside int
	// OperationTime is how long the slowest operations take; the others take a share
	// of it, see gcp.OperationTimes.
	OperationTime time.Duration
	// ProbeInterval replaces the interval of every health check; 0 leaves it unchanged.
	ProbeInterval time.Duration
}

// startGCP starts the stand-in and prepares the nodes, if Options.GCP is set.
func (s *Sandbox) startGCP() error {
	o := s.options.GCP
	if o == nil {
		return nil
	}
	if o.Outside < 0 || o.Outside > len(s.clusters) {
		return fmt.Errorf("clusters outside Compute Engine: %d is out of range: want 0 to %d", o.Outside, len(s.clusters))
	}
	var err error
	if s.machines, err = newMachines(s.clusters); err != nil {
		return err
	}
	s.engine, err = gcp.Start(gcp.Config{
		Clusters:      s.clusters,
		Dial:          s.machines.loopback.DialContext,
		OperationTime: o.OperationTime,
		ProbeInterval: o.ProbeInterval,
		Log:           filepath.Join(s.options.Logs, "compute.log"),
	})
	if err != nil {
		return fmt.Errorf("start the stand-in for Compute Engine: %w", err)
	}
	s.report("a stand-in for Compute Engine serves %s, and its proxy %s sends traffic to the nodes", s.engine.Describe().Endpoint, s.engine.Describe().Proxy)
	return nil
}

// playNodes makes the nodes of a cluster answer, and makes them machines of the
// stand-in for Compute Engine.
func (s *Sandbox) playNodes(ctx context.Context, c *cluster.Cluster) {
	err := s.machines.follow(ctx, c, func(all []*corev1.Node) { s.engine.SetNodes(c, all) })
	if err != nil {
		s.fail(err)
	}
}

// DialNode connects to a node at the node's own address, such as "10.128.0.10:30301".
// It fails unless Options.GCP was set.
func (s *Sandbox) DialNode(ctx context.Context, network, address string) (net.Conn, error) {
	if s.machines == nil {
		return nil, errors.New("the nodes of this sandbox do not answer: it has no stand-in for Compute Engine")
	}
	return s.machines.loopback.DialContext(ctx, network, address)
}

// stopGCP stops the stand-in and the nodes.
func (s *Sandbox) stopGCP() {
	if s.engine != nil {
		s.engine.Close()
	}
	if s.machines != nil {
		s.machines.close()
	}
}
