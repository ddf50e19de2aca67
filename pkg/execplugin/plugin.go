package execplugin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/connrotation"
)

// pluginTimeout is how long a credentials plugin may run.
const pluginTimeout = time.Minute

// How long a plugin is not run again after it failed, or after the cluster refused its
// credentials. The pause doubles each time.
const (
	pluginPauseMin = time.Second
	pluginPauseMax = time.Minute
)

// Error means that there were no credentials, so that nothing was sent to the cluster.
// Its text contains no secret.
type Error struct {
	Plugin string // the command
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("credentials plugin %s: %v", e.Plugin, e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Plugin gets credentials from the program that a kubeconfig names under exec.
//
// client-go runs such programs too, but without a time limit, with a lock that every
// request waits for, and with their standard error on ours. Here only one run is under
// way at a time, for at most a minute. A request waits for it only as long as its own
// context allows. The plugin's messages go into the error or, cleaned, into the log.
//
// Plugin is safe for concurrent use.
type Plugin struct {
	command command
	log     *zap.Logger
	tracker *connrotation.ConnectionTracker // of the connections made with one of the plugin's certificates

	open    context.Context // ends at Close
	close   context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // protects the fields below
	have    *credentials
	refused *credentials  // equal to have if the cluster does not accept those
	err     error         // of the last run; nil if it returned credentials
	pause   time.Duration // the last one
	next    time.Time     // no run before that
	done    chan struct{} // closed when the run under way ends; nil if there is none
}

// credentials are the result of one run of a plugin.
type credentials struct {
	token   string
	cert    *tls.Certificate // nil if there is none
	expires time.Time        // zero means never
}

func (c *credentials) expired() bool { return !c.expires.IsZero() && !time.Now().Before(c.expires) }

// New returns the plugin that cfg names. It runs nothing yet.
func New(cfg *rest.Config, log *zap.Logger) (*Plugin, error) {
	command, err := newCommand(cfg)
	if err != nil {
		return nil, err
	}
	open, stop := context.WithCancel(context.Background())
	return &Plugin{command: command, log: log, tracker: connrotation.NewConnectionTracker(), open: open, close: stop}, nil
}

// Close kills a running plugin, and makes all later requests fail.
func (p *Plugin) Close() {
	p.close()
	p.running.Wait()
}

// Attach makes clients of cfg take their credentials from the plugin, in place of
// client-go's own runner. A token, password or certificate in cfg takes precedence:
// then the plugin is not used.
func (p *Plugin) Attach(cfg *rest.Config) {
	cfg.ExecProvider = nil
	if cfg.BearerToken != "" || cfg.BearerTokenFile != "" || cfg.Username != "" || len(cfg.CertData) > 0 || cfg.CertFile != "" {
		return
	}
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	// With its own dialer, the transport is not shared with other clients.
	cfg.Dial = connrotation.NewDialerWithTracker(dial, p.tracker).DialContext
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		p.giveCertificates(next)
		return &pluginTransport{plugin: p, next: next}
	})
}

// giveCertificates makes the underlying transport present the plugin's certificates. It
// is called before the transport is used.
func (p *Plugin) giveCertificates(rt http.RoundTripper) {
	for {
		if t, ok := rt.(*http.Transport); ok {
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			t.TLSClientConfig.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				c, err := p.credentials(i.Context())
				if err != nil {
					return nil, err
				}
				if c.cert == nil {
					return &tls.Certificate{}, nil // none is presented
				}
				return c.cert, nil
			}
			return
		}
		wrapper, ok := rt.(utilnet.RoundTripperWrapper)
		if !ok {
			return
		}
		rt = wrapper.WrappedRoundTripper()
	}
}

type pluginTransport struct {
	plugin *Plugin
	next   http.RoundTripper
}

// WrappedRoundTripper makes the transport visible to client-go.
func (t *pluginTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *pluginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Authorization") != "" {
		return t.next.RoundTrip(req)
	}
	c, err := t.plugin.credentials(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as the interface requires
		}
		return nil, err
	}
	if c.token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		t.plugin.answered(c, resp.StatusCode)
	}
	return resp, err
}

// answered records whether the cluster accepts credentials.
func (p *Plugin) answered(c *credentials, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case c != p.have: // there are newer ones
	case status == http.StatusUnauthorized:
		p.refused = c
	default:
		p.pause = 0
	}
}

// credentials returns valid credentials, and runs the plugin if there are none. It
// waits no longer than ctx allows; the run continues after that.
func (p *Plugin) credentials(ctx context.Context) (*credentials, error) {
	for {
		p.mu.Lock()
		c := p.have
		fresh := c != nil && c != p.refused && !c.expired()
		resting := time.Now().Before(p.next)
		switch {
		case fresh:
			p.mu.Unlock()
			return c, nil
		case p.done == nil && resting && p.err != nil:
			err := p.err
			p.mu.Unlock()
			return nil, err
		case p.done == nil && resting && c != nil:
			p.mu.Unlock()
			return c, nil // refused or expired, and there are no better ones yet
		case p.done == nil && p.open.Err() != nil:
			p.mu.Unlock()
			return nil, &Error{Plugin: p.command.name, Err: errors.New("fedsync is stopping")}
		case p.done == nil:
			p.done = make(chan struct{})
			p.running.Go(func() { p.run(p.done) })
		}
		done := p.done
		p.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, &Error{Plugin: p.command.name, Err: fmt.Errorf("it has not answered yet: %w", ctx.Err())}
		}
	}
}

// run runs the plugin.
func (p *Plugin) run(done chan struct{}) {
	ctx, cancel := context.WithTimeout(p.open, pluginTimeout)
	defer cancel()
	c, said, err := p.command.run(ctx)
	if err != nil {
		err = &Error{Plugin: p.command.name, Err: err}
	} else if said != "" {
		p.log.Debug("credentials plugin", zap.String("plugin", p.command.name), zap.String("said", said))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.have
	if p.err = err; err == nil {
		p.have, p.refused = c, nil
	}
	p.pause = min(max(2*p.pause, pluginPauseMin), pluginPauseMax)
	p.next = time.Now().Add(p.pause)
	p.done = nil
	close(done)
	if err == nil && before != nil && !sameCertificate(before.cert, c.cert) {
		p.tracker.CloseAll() // they have the previous identity
	}
}

func sameCertificate(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Certificate, b.Certificate, slices.Equal[[]byte])
}

// secretFlag matches the name of a flag that has a credential as its value.
var secretFlag = regexp.MustCompile(`(?i)^--?[a-z0-9_-]*(?:token|password|secret|key|credential)[a-z0-9_-]*$`)

// secretsOf returns what a plugin is called with that must not be shown.
func secretsOf(config *api.ExecConfig) []string {
	var secrets []string
	for _, v := range config.Env {
		secrets = append(secrets, v.Value)
	}
	for i, arg := range config.Args {
		flag, value, joined := strings.Cut(arg, "=")
		switch {
		case !secretFlag.MatchString(flag):
		case joined:
			secrets = append(secrets, value)
		case i+1 < len(config.Args):
			secrets = append(secrets, config.Args[i+1])
		}
	}
	return secrets
}
