package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/fedsync/fedsync/sandbox/cluster"
)

// Action is what can be done to a cluster.
type Action string

// The actions.
const (
	Pause  Action = "pause"
	Resume Action = "resume"
	Kill   Action = "kill"
	Start  Action = "start"

	// These are of a sandbox whose nodes answer, and leave the API server alone.
	KillNodes   Action = "kill-nodes"
	ReviveNodes Action = "revive-nodes"
)

// Cluster is how a cluster is.
type Cluster struct {
	Name   string        `json:"name"`
	State  cluster.State `json:"state"`
	Server string        `json:"server"`
	// Nodes is Running or Killed; empty where nodes answer nothing.
	Nodes cluster.State `json:"nodes,omitempty"`
}

// Client speaks to the sandbox behind one socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the sandbox that answers on socket.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // a command asks once
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Clusters says how all clusters are.
func (c *Client) Clusters(ctx context.Context) ([]Cluster, error) {
	var all []Cluster
	return all, c.call(ctx, http.MethodGet, "/clusters", &all)
}

// Do acts on one cluster and says how it is then.
func (c *Client) Do(ctx context.Context, action Action, name string) (Cluster, error) {
	var one Cluster
	err := c.call(ctx, http.MethodPost, "/clusters/"+url.PathEscape(name)+"/"+string(action), &one)
	if err != nil {
		return Cluster{}, fmt.Errorf("%s %s: %w", action, name, err)
	}
	return one, nil
}

func (c *Client) call(ctx context.Context, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://sandbox"+path, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("no sandbox answers on %s: %w", c.socket, errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, into)
}
