package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/web/page"
)

// Options are the sources of the pages. Every function is called from many goroutines
// at once and must not block for long. A nil function counts as one that returns nothing.
type Options struct {
	// Report returns the newest report; nil before there is one.
	Report func() *status.Report
	// Revision returns the last report on an earlier revision by its full SHA.
	Revision func(sha string) (*status.Report, bool)
	// Revisions lists the revisions that Revision knows, newest first. Abbreviated
	// SHAs are resolved in it, and the page links to them.
	Revisions func() []federation.Revision
	// Plan returns what merging a pull request would do, by the full SHA of its head,
	// in Markdown whose quoted texts are cleaned.
	Plan func(sha string) (string, bool)
	// Alive returns why the daemon should be restarted; nil when it works. The error's
	// text is public.
	Alive func() error
	// Ready returns why the daemon cannot work yet; nil when it can. The error's text
	// is public.
	Ready func() error
	// Nudge asks for a poll of the repository soon. The receiver merges many calls in
	// a row into one.
	Nudge func()
	// WebhookSecret returns the secret that forges sign with. It is called for every
	// delivery, so that a new secret is valid at once. Empty means that no webhook is
	// configured. Trailing line ends are ignored.
	WebhookSecret func() ([]byte, error)
	// Gatherer returns the metrics for /metrics.
	Gatherer prometheus.Gatherer
	// AnswerBytes is called with the number of bytes held for readers.
	AnswerBytes func(held int)
	Log         *zap.Logger
	Version     string // of fedsync, for the foot of the page
}

// server answers requests. Between two of them it retains nothing that it could not
// make again.
type server struct {
	opts  Options
	log   *zap.Logger
	pages *page.Pages
	press *press
	// refused is log for entries that strangers can cause. It is limited to a few lines a
	// minute, or a crowd could fill the disk.
	refused *zap.Logger
	// deliveries has room for the webhook bodies that may be read at the same time.
	deliveries chan struct{}
}

// refusalsLogged is how many refusals per minute are logged.
const refusalsLogged = 10

// New returns the handler for everything that is served:
//
//	GET  /                                  the page
//	GET  /clusters/{cluster}                one member cluster in full
//	GET  /revisions/{sha}                   the page as it last was for a revision
//	GET  /revisions/{sha}/clusters/{cluster}
//	GET  /plans/{sha}                       the plan of a pull request, by its head
//	GET  /api/v1/report                     the status.Report as JSON
//	GET  /api/v1/revisions/{sha}            the same for a revision
//	GET  /healthz  /readyz  /metrics
//	POST /webhook/{forge}                   a hint to poll now
//
// A SHA may be abbreviated to seven characters or more.
func New(o Options) http.Handler {
	s := &server{opts: o.withDefaults(), pages: page.New(), deliveries: make(chan struct{}, maxDeliveries)}
	s.log, s.press = s.opts.Log, newPress(s.opts.AnswerBytes)
	s.refused = s.log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, refusalsLogged, 0)
	}))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveOverview)
	mux.HandleFunc("GET /clusters/{cluster}", s.serveOverview)
	mux.HandleFunc("GET /revisions/{sha}", s.serveRevision)
	mux.HandleFunc("GET /revisions/{sha}/clusters/{cluster}", s.serveRevision)
	mux.HandleFunc("GET /plans/{sha}", s.servePlan)
	mux.HandleFunc("GET /api/v1/report", s.serveReportJSON)
	mux.HandleFunc("GET /api/v1/revisions/{sha}", s.serveRevisionJSON)
	mux.HandleFunc("GET /api/", s.serveNoSuchAPI)
	mux.HandleFunc("GET /healthz", s.serveHealthz)
	mux.HandleFunc("GET /readyz", s.serveReadyz)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /assets/{file}", s.serveAsset)
	// The patterns have no method: the handler refuses all but POST itself.
	for _, hook := range webhooks {
		mux.HandleFunc(hook.path, s.serveWebhook(hook))
	}
	mux.HandleFunc("/", s.serveNoSuchPage)
	return s.recovered(s.logged(hardened(mux)))
}

func (o Options) withDefaults() Options {
	if o.Report == nil {
		o.Report = func() *status.Report { return nil }
	}
	if o.Revision == nil {
		o.Revision = func(string) (*status.Report, bool) { return nil, false }
	}
	if o.Plan == nil {
		o.Plan = func(string) (string, bool) { return "", false }
	}
	if o.Revisions == nil {
		o.Revisions = func() []federation.Revision { return nil }
	}
	if o.Alive == nil {
		o.Alive = func() error { return nil }
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Nudge == nil {
		o.Nudge = func() {}
	}
	if o.WebhookSecret == nil {
		o.WebhookSecret = func() ([]byte, error) { return nil, nil }
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.NewRegistry()
	}
	if o.AnswerBytes == nil {
		o.AnswerBytes = func(int) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// serveHealthz answers whether the daemon should be restarted.
func (s *server) serveHealthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Alive(); err != nil {
		writeText(w, http.StatusServiceUnavailable, "not alive: "+err.Error())
		return
	}
	writeText(w, http.StatusOK, "ok")
}

// serveReadyz answers whether the daemon can work.
func (s *server) serveReadyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Ready(); err != nil {
		writeText(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	writeText(w, http.StatusOK, "ok")
}

// metricsKey is the metrics in one format.
type metricsKey struct{ format expfmt.Format }

func (s *server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	s.print(w, r, string(format), order{key: metricsKey{format}, make: func() ([]byte, error) {
		families, err := s.opts.Gatherer.Gather()
		if err != nil {
			return nil, fmt.Errorf("gather the metrics: %w", err)
		}
		var b bytes.Buffer
		encoder := expfmt.NewEncoder(&b, format)
		for _, family := range families {
			if err := encoder.Encode(family); err != nil {
				return nil, fmt.Errorf("encode the metrics: %w", err)
			}
		}
		return b.Bytes(), nil
	}})
}

// contentSecurityPolicy allows a page to load our style sheet and icons and nothing
// else: even if text became markup, it could not run, call or frame anything.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hardened sets the headers of every answer. A handler may relax only Cache-Control.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// logged logs every request at debug level.
func (s *server) logged(next http.Handler) http.Handler {
	if !s.log.Core().Enabled(zap.DebugLevel) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		s.log.Debug("request served",
			zap.String("method", r.Method),
			zap.String("path", untrusted.Shorten(r.URL.Path, 200)),
			zap.Int("status", rec.status),
			zap.Duration("took", time.Since(start)),
			zap.String("remote", r.RemoteAddr))
	})
}

// recovered logs the panic of a handler and answers 500, so that a bad page ends
// neither the connection nor the daemon.
func (s *server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // the server's own way to drop a connection
			}
			s.log.Error("request failed", zap.String("path", untrusted.Shorten(r.URL.Path, 200)),
				zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// statusRecorder records the status that was sent.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// writeText sends one line of plain text. The line may contain an error's text, so
// control characters are made visible.
func writeText(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	// An error means that the client has gone away.
	_, _ = w.Write(append(untrusted.Visible([]byte(line)), '\n'))
}
