package gcetest

import compute "google.golang.org/api/compute/v1"

type probes struct{}
type traffic struct{}

func (s *Server) startProbes()                                                          {}
func (s *Server) closeTraffic()                                                         {}
func (s *Server) healths(group key, m member) []*compute.HealthStatusForNetworkEndpoint { return nil }
func getHealth(q *request) (any, *refusal) {
	return &compute.BackendServiceGroupHealth{Kind: "compute#backendServiceGroupHealth"}, nil
}
