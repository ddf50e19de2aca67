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

// GCP says how the stand-in for Compute Engine is to be.
type GCP struct {
	// Outside is how many clusters, the last ones, have machines elsewhere.
	Outside int
	// OperationTime is how long the slowest operations take; the others take their
	// share of it, see gcp.OperationTimes.
	OperationTime time.Duration
	// ProbeInterval replaces the interval of every health check; 0 leaves it.
	ProbeInterval time.Duration
}

// startGCP starts the stand-in and gets ready to play nodes, if asked to.
func (s *Sandbox) startGCP() error {
	o := s.options.GCP
	if o == nil {
		return nil
	}
	if o.Outside < 0 || o.Outside > len(s.clusters) {
		return fmt.Errorf("%d clusters outside Compute Engine: want 0 to %d", o.Outside, len(s.clusters))
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
	s.say("a stand-in for Compute Engine answers at %s, and leads traffic to nodes by the proxy %s", s.engine.Describe().Endpoint, s.engine.Describe().Proxy)
	return nil
}

// playNodes has the nodes of a cluster answer, and makes machines of them.
func (s *Sandbox) playNodes(ctx context.Context, c *cluster.Cluster) {
	err := s.machines.follow(ctx, c, func(all []*corev1.Node) { s.engine.SetNodes(c, all) })
	if err != nil {
		s.fail(err)
	}
}

// DialNode connects to a node of a sandbox with GCP at its own address, such as
// "10.128.0.10:30301".
func (s *Sandbox) DialNode(ctx context.Context, network, address string) (net.Conn, error) {
	if s.machines == nil {
		return nil, errors.New("the nodes of this sandbox answer nothing")
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
