package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// encoding is a report as JSON. Reports never change, so the newest one's is
// kept until there is a newer.
type encoding struct {
	report *status.Report
	body   []byte
	etag   string
}

func (s *server) serveReportJSON(w http.ResponseWriter, r *http.Request) {
	report := s.opts.Report()
	if report == nil {
		w.Header().Set("Retry-After", "2")
		writeAPIError(w, http.StatusServiceUnavailable, "there is no report yet: fedsync is starting")
		return
	}
	s.serveEncoded(w, r, report)
}

func (s *server) serveRevisionJSON(w http.ResponseWriter, r *http.Request) {
	found := s.find(r.PathValue("sha"))
	if found.report == nil {
		writeAPIError(w, http.StatusNotFound, found.why)
		return
	}
	s.serveEncoded(w, r, found.report)
}

func (s *server) serveNoSuchAPI(w http.ResponseWriter, _ *http.Request) {
	writeAPIError(w, http.StatusNotFound, "no such path: there are /api/v1/report and /api/v1/revisions/{sha}")
}

func (s *server) serveEncoded(w http.ResponseWriter, r *http.Request, report *status.Report) {
	e := s.encoded.Load()
	if e == nil || e.report != report {
		var err error
		if e, err = encode(report); err != nil {
			panic(err) // a report holds nothing that JSON cannot: answered with 500 and logged
		}
		if report == s.opts.Report() {
			s.encoded.Store(e)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache") // keep it, but ask every time
	h.Set("ETag", e.etag)
	// ServeContent answers If-None-Match, HEAD and ranges.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(e.body))
}

func encode(report *status.Report) (*encoding, error) {
	body, err := json.MarshalIndent(withoutNil(report), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report on %s: %w", report.Revision, err)
	}
	body = append(body, '\n')
	return &encoding{report: report, body: body, etag: etag(body)}, nil
}

// etag names content by its digest, in the form of the header.
func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// withoutNil gives the report with [] for every list that is empty, so that
// readers can go through each without asking first whether it is there.
func withoutNil(report *status.Report) *status.Report {
	r := *report
	r.Addresses = append([]status.Address{}, r.Addresses...)
	r.Clusters = append([]status.Cluster{}, r.Clusters...)
	r.Findings = append([]federation.Finding{}, r.Findings...)
	r.Ports = append([]federation.PortDecision{}, r.Ports...)
	r.Replicas = append([]federation.ReplicasDecision{}, r.Replicas...)
	for i := range r.Replicas {
		if r.Replicas[i].Shares == nil {
			r.Replicas[i].Shares = []federation.ReplicasShare{}
		}
	}
	r.Balancers = append([]status.Balancer{}, r.Balancers...)
	for i := range r.Balancers {
		if r.Balancers[i].Clusters == nil {
			r.Balancers[i].Clusters = []federation.BalancerCluster{}
		}
	}
	if r.Cloud != nil {
		cloud := *r.Cloud
		cloud.Pending = append([]status.CloudAction{}, cloud.Pending...)
		cloud.Done = append([]status.CloudAction{}, cloud.Done...)
		r.Cloud = &cloud
	}
	for i := range r.Addresses {
		if r.Addresses[i].Clusters == nil {
			r.Addresses[i].Clusters = []string{}
		}
	}
	for i := range r.Clusters {
		c := &r.Clusters[i]
		if c.Objects == nil {
			c.Objects = []federation.Observation{}
		}
		if c.Changes == nil {
			c.Changes = []status.Change{}
		}
	}
	return &r
}

func writeAPIError(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A reader that has gone away is nobody's to tell; a string always encodes.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}
