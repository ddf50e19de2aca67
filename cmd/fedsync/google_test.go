package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// googleCommand is
//
//	google PROJECT [FILE]
//
// It serves a stand-in for Compute Engine with one project until the script ends. Its
// machines are those that the file lists, or those that the nodes of the script's clusters
// name, each with a tag of its cluster. Every node answers every probe. The address is
// $FEDSYNC_GCP_ENDPOINT, which is a setting of the program.
func googleCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0 || len(args) > 2, "google PROJECT [FILE]")
	var machines []gcetest.Instance
	if len(args) > 1 {
		ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(args[1])), &machines))
	} else {
		machines = machinesOfNodes(ts)
	}
	pods := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // all answer 200
	ts.Defer(pods.Close)
	server := gcetest.New(gcetest.Options{
		Projects: []string{args[0]}, ProbeInterval: 100 * time.Millisecond,
		Dial: func(ctx context.Context, _ string, _ int) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", pods.Listener.Addr().String())
		},
	})
	ts.Check(server.Start())
	ts.Defer(server.Close)
	for _, m := range machines {
		m.Project = args[0]
		server.SetInstance(m)
	}
	ts.Setenv("FEDSYNC_GCP_ENDPOINT", server.URL())
}

// machinesOfNodes returns a machine for each node of the script's clusters.
func machinesOfNodes(ts *testscript.TestScript) []gcetest.Instance {
	s := lab.Shared(tb(ts))
	var machines []gcetest.Instance
	for i, variable := range []string{"C1", "C2", "C3"} {
		cluster := ts.Getenv(variable)
		nodes, err := s.Client(tb(ts), cluster).CoreV1().Nodes().List(tb(ts).Context(), metav1.ListOptions{})
		ts.Check(err)
		for n := range nodes.Items {
			path, ok := strings.CutPrefix(nodes.Items[n].Spec.ProviderID, "gce://")
			parts := strings.Split(path, "/")
			if !ok || len(parts) != 3 {
				continue
			}
			machines = append(machines, gcetest.Instance{
				Zone: parts[1], Name: parts[2], Network: "default", Subnetwork: "default",
				Address: fmt.Sprintf("10.%d.0.%d", i+1, n+2), Tags: []string{"gke-" + cluster + "-node"},
			})
		}
	}
	return machines
}
