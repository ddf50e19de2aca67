package web

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"weak"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/web/page"
)

// refreshSeconds is how often a page that may change reloads itself.
const refreshSeconds = 10

// serveOverview shows the newest report: all of it, or one cluster.
func (s *server) serveOverview(w http.ResponseWriter, r *http.Request) {
	report := s.opts.Report()
	if report == nil {
		s.serveStarting(w, r)
		return
	}
	s.serveReport(w, r, report, true)
}

// serveRevision shows the last report on one revision.
func (s *server) serveRevision(w http.ResponseWriter, r *http.Request) {
	found := s.find(r.PathValue("sha"))
	if found.report == nil {
		s.serveNotFound(w, r, found.why, found.maybe)
		return
	}
	s.serveReport(w, r, found.report, found.current)
}

func (s *server) serveReport(w http.ResponseWriter, r *http.Request, report *status.Report, current bool) {
	f := s.frame(r, current)
	f.Icon = string(report.State)
	f.JSON = "api/v1/report"
	if !current {
		f.JSON = "api/v1/revisions/" + report.Revision.SHA
	}
	key := pageKey{frame: f, report: weak.Make(report), cluster: r.PathValue("cluster"), current: current, pinned: r.PathValue("sha") != ""}
	i := slices.IndexFunc(report.Clusters, func(c status.Cluster) bool { return c.Name == key.cluster })
	if key.cluster != "" && i < 0 {
		s.serveNotFound(w, r, fmt.Sprintf("%s has no member cluster %q at %s.", report.Federation, untrusted.Shorten(key.cluster, 80), report.Revision), false)
		return
	}
	s.print(w, r, contentTypeHTML, order{key: key, make: func() ([]byte, error) {
		shown := page.Subject{Report: report, Now: time.Now(), Current: current, Pinned: key.pinned}
		if key.cluster == "" {
			return s.pages.Overview(f, shown, s.opts.Revisions())
		}
		return s.pages.Cluster(f, shown, report.Clusters[i])
	}})
}

// pageKey is everything that a page is made of, except the time.
type pageKey struct {
	frame   page.Frame
	report  weak.Pointer[status.Report]
	cluster string // empty for the overview
	current bool
	pinned  bool // its address names the revision
}

func (s *server) serveStarting(w http.ResponseWriter, r *http.Request) {
	f := s.frame(r, true)
	f.Title, f.Icon = "Starting", string(status.Pending)
	p := page.Message{
		Frame:   f,
		Heading: "fedsync is starting",
		Text:    "fedsync is reading the repository and the member clusters. The first report will appear here automatically.",
	}
	if err := s.opts.Ready(); err != nil {
		p.Reason = err.Error()
	}
	s.write(w, http.StatusOK, p)
}

// serveNoSuchPage handles requests that match no other pattern: an unknown path, or a
// method that would change something.
func (s *server) serveNoSuchPage(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/webhook") {
		var paths []string
		for _, h := range webhooks {
			paths = append(paths, h.path)
		}
		writeText(w, http.StatusNotFound, "path not found: webhooks are served at the path of their forge: "+strings.Join(paths, ", "))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeText(w, http.StatusMethodNotAllowed, "method not allowed: the page is read-only")
		return
	}
	s.serveNotFound(w, r, "There is no page at this address.", false)
}

// serveNotFound answers 404. If the page may exist later, it reloads itself: a commit
// status can link to a revision before its first report.
func (s *server) serveNotFound(w http.ResponseWriter, r *http.Request, why string, maybe bool) {
	f := s.frame(r, maybe)
	f.Title = "Not found"
	s.write(w, http.StatusNotFound, page.Message{Frame: f, Heading: "Not found", Text: why})
}

func (s *server) frame(r *http.Request, live bool) page.Frame {
	f := page.Frame{Root: root(r), Live: live, Version: s.opts.Version}
	if live && r.URL.Query().Get("refresh") != "off" {
		f.Refresh = refreshSeconds
	}
	return f
}

// root returns the relative path from the requested path to /.
func root(r *http.Request) string {
	depth := strings.Count(r.URL.EscapedPath(), "/") - 1
	if depth <= 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

const contentTypeHTML = "text/html; charset=utf-8"

// write answers with a message, which is small and needs no press.
func (s *server) write(w http.ResponseWriter, code int, m page.Message) {
	body, err := s.pages.Message(m)
	if err != nil {
		panic(err) // recovered answers 500 and logs it
	}
	w.Header().Set("Content-Type", contentTypeHTML)
	w.WriteHeader(code)
	// An error means that the client has gone away.
	_, _ = w.Write(body)
}

// serveAsset serves the style sheet and the icons.
func (s *server) serveAsset(w http.ResponseWriter, r *http.Request) {
	content, contentType, found := page.Asset(r.PathValue("file"))
	if !found {
		s.serveNoSuchPage(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // clients may store it, but must revalidate: it changes with the version
	h.Set("ETag", etag(content))
	h.Set("Content-Type", contentType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
