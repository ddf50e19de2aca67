package main

import (
	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// googleCommand is
//
//	google PROJECT FILE
//
// It serves a stand-in for Compute Engine with one project, and with the machines that
// the file lists, until the script ends. Its address is $FEDSYNC_GCP_ENDPOINT, which the
// program takes as a setting.
func googleCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "google PROJECT FILE")
	var machines []gcetest.Instance
	ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(args[1])), &machines))
	server := gcetest.New(gcetest.Options{Projects: []string{args[0]}})
	ts.Check(server.Start())
	ts.Defer(server.Close)
	for _, m := range machines {
		m.Project = args[0]
		server.SetInstance(m)
	}
	ts.Setenv("FEDSYNC_GCP_ENDPOINT", server.URL())
}
