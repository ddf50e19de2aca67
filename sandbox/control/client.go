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

// Action is an action on a cluster.
type Action string

// The actions.
const (
	Pause  Action = "pause"
	Resume Action = "resume"
	Kill   Action = "kill"
	Start  Action = "start"

	// These need a sandbox whose nodes answer, and do not touch the API server.
	KillNodes   Action = "kill-nodes"
	ReviveNodes Action = "revive-nodes"
)

// Cluster is the state of a cluster.
type Cluster struct {
	Name   string        `json:"name"`
	State  cluster.State `json:"state"`
	Server string        `json:"server"`
	// Nodes is Running or Killed, or empty if the nodes do not answer.
	Nodes cluster.State `json:"nodes,omitempty"`
}

// Client is a client of the sandbox that serves one control socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the sandbox that serves socket.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // a command makes one request
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Clusters returns the state of all clusters.
func (c *Client) Clusters(ctx context.Context) ([]Cluster, error) {
	var all []Cluster
	return all, c.call(ctx, http.MethodGet, "/clusters", &all)
}

// Do performs an action on one cluster and returns its new state.
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
		return fmt.Errorf("connect to the sandbox at %s: %w", c.socket, errors.Unwrap(err))
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
