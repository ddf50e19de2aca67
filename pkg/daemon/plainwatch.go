package daemon

import "net/http"

// plainWatches asks for watches that are not compressed. A compressed one keeps a
// window of 32 KiB and more for as long as it lasts, on both sides, and there are a
// dozen for each cluster that say next to nothing.
type plainWatches struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainWatches) RoundTrip(req *http.Request) (*http.Response, error) {
	if watch := req.URL.Query().Get("watch"); watch == "true" || watch == "1" {
		req = req.Clone(req.Context())
		req.Header.Set("Accept-Encoding", "identity")
	}
	return p.next.RoundTrip(req)
}
