package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/fedsync/fedsync/sandbox/cluster"
	"github.com/fedsync/fedsync/sandbox/nodes"
)

// machines plays the nodes of all clusters, which answer at their node ports. It
// implements control.Nodes.
type machines struct {
	loopback *nodes.Loopback
	of       map[*cluster.Cluster]*nodes.Nodes
	named    map[string]*nodes.Nodes // the same, by the name of the cluster
	logs     []io.Closer
}

func newMachines(clusters []*cluster.Cluster) (*machines, error) {
	loopback, err := nodes.Reserve()
	if err != nil {
		return nil, err
	}
	m := &machines{loopback: loopback, of: map[*cluster.Cluster]*nodes.Nodes{}, named: map[string]*nodes.Nodes{}}
	for _, c := range clusters {
		log, err := openLog(c.Logs(), "nodes.log")
		if err != nil {
			m.close()
			return nil, fmt.Errorf("play the nodes of %s: %w", c.Name(), err)
		}
		m.logs = append(m.logs, log)
		n := nodes.New(nodes.Config{Cluster: c.Name(), Loopback: loopback, Log: log})
		m.of[c], m.named[c.Name()] = n, n
	}
	return m, nil
}

// openLog opens a log for appending. It makes the directory if that does not exist.
func openLog(dir, name string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// follow plays the nodes of a cluster while its API server runs. For a second control
// plane it does nothing: the nodes continue to follow the first.
func (m *machines) follow(ctx context.Context, c *cluster.Cluster, onNodes func([]*corev1.Node)) error {
	n := m.of[c]
	if n == nil {
		return nil
	}
	return n.Follow(ctx, c.RESTConfig(), onNodes)
}

// KillNodes makes the nodes of a cluster stop answering.
func (m *machines) KillNodes(cluster string) { m.named[cluster].Kill() }

// ReviveNodes makes them answer again.
func (m *machines) ReviveNodes(cluster string) { m.named[cluster].Revive() }

// NodesKilled reports whether they are killed.
func (m *machines) NodesKilled(cluster string) bool { return m.named[cluster].Killed() }

func (m *machines) close() {
	for _, n := range m.of {
		n.Close()
	}
	for _, log := range m.logs {
		_ = log.Close()
	}
	_ = m.loopback.Close()
}
