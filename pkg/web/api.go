package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"weak"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// encodingKey is a report as JSON. Reports never change, so the JSON of the newest one
// is held until there is a newer one. The key does not keep the report in memory.
type encodingKey struct{ report weak.Pointer[status.Report] }

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
	writeAPIError(w, http.StatusNotFound, "path not found: use /api/v1/report or /api/v1/revisions/{sha}")
}

func (s *server) serveEncoded(w http.ResponseWriter, r *http.Request, report *status.Report) {
	s.print(w, r, "application/json", order{
		key:     encodingKey{weak.Make(report)},
		lasting: true,
		keep:    report == s.opts.Report(),
		make:    func() ([]byte, error) { return encode(report) },
	})
}

func encode(report *status.Report) ([]byte, error) {
	body, err := json.MarshalIndent(withoutNil(report), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report on %s: %w", report.Revision, err)
	}
	return append(untrusted.VisibleJSON(body), '\n'), nil
}

// print answers a request with an edition from the press.
func (s *server) print(w http.ResponseWriter, r *http.Request, contentType string, o order) {
	reader, err := s.press.read(r.Context(), o, http.NewResponseController(w))
	switch {
	case errors.Is(err, errGone):
		return
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "10")
		writeText(w, http.StatusServiceUnavailable, err.Error())
		return
	case err != nil:
		panic(err) // making an answer never fails: recovered answers 500 and logs it
	}
	defer s.press.leave(reader)
	e, h := reader.edition, w.Header()
	h.Set("Content-Type", contentType)
	if !e.lasting {
		h.Set("Content-Length", strconv.Itoa(len(e.body)))
		// An error means that the client has gone away.
		_, _ = w.Write(e.body)
		return
	}
	h.Set("Cache-Control", "no-cache") // clients may store it, but must revalidate
	h.Set("ETag", e.etag)
	// ServeContent answers If-None-Match, HEAD and ranges.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(e.body))
}

// etag returns the digest of content in the form of the header.
func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// withoutNil returns the report with [] for every empty list, so that clients can
// iterate without a check for null.
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
	// A string always encodes: an error means that the client has gone away.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}
