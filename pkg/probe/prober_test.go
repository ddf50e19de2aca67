package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
)

// runProber collects a prober's reports until the returned function is called.
func runProber(t *testing.T, cfg *rest.Config, o Options) (stop func() []string) {
	ctx, cancel := context.WithCancel(t.Context())
	started := time.Now()
	prober := NewProber(cfg, o)
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		prober.Run(ctx, func(p Probe) {
			line := fmt.Sprintf("%v %s", time.Since(started), p.State)
			if p.Failure != federation.FailureNone {
				line += " " + string(p.Failure)
			}
			if p.Version != "" {
				line += " " + p.Version
			}
			got = append(got, line)
		})
	}()
	return func() []string {
		cancel()
		<-done
		return got
	}
}

func TestProberFollowsAClusterThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := membertest.NewPipe(t)
		stop := runProber(t, cluster.Config(), Options{})
		wait := func(until time.Duration, next http.HandlerFunc) {
			<-time.After(until - time.Since(cluster.Started))
			cluster.Set(next)
		}
		wait(5*time.Second, membertest.Hang)
		wait(21*time.Second, membertest.Ready)
		wait(31*time.Second, membertest.Fail(503))
		wait(33*time.Second, membertest.Ready)
		wait(41*time.Second, membertest.Fail(401))
		wait(45*time.Second, membertest.Ready)
		wait(49*time.Second, membertest.Ready)
		membertest.Want(t, "reports", stop(), []string{
			"0s Ready", "0s Ready v1.37.2",
			"8s NotReady timeout v1.37.2",
			"12s Offline timeout v1.37.2", // probed at 6, 8 and 10 s, 2 s each
			"24s Ready v1.37.2",           // the probes at 22 and 24 s were good
			"32s NotReady server v1.37.2",
			"36s Ready v1.37.2",
			"42s Unknown unauthorised v1.37.2",
			"46s Ready v1.37.2",
		})
	})
}

// TestProberDoesNotBlameTheClusterForItsOwnSuspension delays the prober where nothing
// limits the time: when it creates its transport.
func TestProberDoesNotBlameTheClusterForItsOwnSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := membertest.NewPipe(t)
		cfg := cluster.Config()
		cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper {
			<-time.After(10 * time.Minute)
			return rt
		})
		stop := runProber(t, cfg, Options{})
		<-time.After(10*time.Minute + time.Second)
		membertest.Want(t, "reports", stop(), []string{"10m0s Ready", "10m0s Ready v1.37.2"})
	})
}

func TestProberProbesEveryIntervalAndRequestsTheVersionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := membertest.NewPipe(t)
		cluster.Set(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(1500 * time.Millisecond)
			membertest.Ready(w, r)
		})
		stop := runProber(t, cluster.Config(), Options{})
		<-time.After(11700 * time.Millisecond) // the last probe has ended
		stop()
		membertest.Want(t, "requests", cluster.Seen(), []string{
			"0s /readyz", "1.5s /version", "3s /readyz", "4.5s /readyz", "6s /readyz", "8s /readyz", "10s /readyz",
		})
	})
}

func TestProberNeverProbesTwiceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := membertest.NewPipe(t)
		cluster.Set(membertest.Hang)
		cfg := cluster.Config()
		var running, most atomic.Int32
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return membertest.RoundTrip(func(req *http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				return next.RoundTrip(req)
			})
		})
		stop := runProber(t, cfg, Options{Timeout: 5 * time.Second})
		<-time.After(time.Minute)
		membertest.Want(t, "reports", stop(), []string{"5s NotReady timeout", "15s Offline timeout"})
		if most.Load() != 1 {
			t.Errorf("%d probes at a time, want 1", most.Load())
		}
	})
}

// A plugin that prints no credentials must not look like an absent cluster: replicas
// would be moved off a healthy one.
func TestAHangingCredentialsPluginIsNoAbsence(t *testing.T) {
	cfg := hangingConfig(t)
	stop := runProber(t, cfg, Options{Interval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond})
	<-time.After(time.Second) // enough for Offline, many times over
	started := time.Now()
	got := stop()
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("Run took %v to end, want it to abandon the plugin", took)
	}
	if len(got) != 1 || !strings.HasSuffix(got[0], " Unknown unauthorised") {
		t.Errorf("reports = %q, want one: Unknown unauthorised", got)
	}
}

func TestProbeEndsInTimeIfTheCredentialsPluginHangs(t *testing.T) {
	asker := askerOf(hangingConfig(t), 100*time.Millisecond)
	defer asker.close()
	for range 3 {
		started := time.Now()
		got := asker.get(t.Context(), "readyz")
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("took %v, want 100 ms", took)
		}
		if got.failure != federation.FailureUnauthorised || !strings.Contains(got.message, "credentials plugin") {
			t.Errorf("probe = %q, %q; want unauthorised because of the credentials plugin", got.failure, got.message)
		}
	}
}

// hangingConfig returns the configuration of a cluster whose credentials plugin hangs
// until the test has ended.
func hangingConfig(t *testing.T) *rest.Config {
	t.Helper()
	over := filepath.Join(t.TempDir(), "over")
	cfg := execConfig(t, "https://"+closedPort(t), `while [ -d "`+filepath.Dir(over)+`" ] && [ ! -e "`+over+`" ]; do sleep 0.05; done; exit 1`)
	t.Cleanup(func() { _ = os.WriteFile(over, nil, 0o600) })
	return cfg
}

func TestProbeUsesWhatACredentialsPluginPrints(t *testing.T) {
	ca := newAuthority(t)
	var sent atomic.Value
	host := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		sent.Store(r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "your token is s3cr3t-of-the-plugin")
	}, ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour)), nil)
	cfg := execConfig(t, host, `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"s3cr3t-of-the-plugin"}}'`)
	cfg.CAData = ca.pem
	asker := askerOf(cfg, membertest.Patience)
	defer asker.close()
	got := asker.get(t.Context(), "readyz")
	if sent.Load() != "Bearer s3cr3t-of-the-plugin" {
		t.Errorf("Authorization = %q, want the plugin's token", sent.Load())
	}
	if got.message != "GET /readyz: 500 Internal Server Error: your token is ***" {
		t.Errorf("message = %q, want it without the token", got.message)
	}
}

func TestProbeReportsAFailedCredentialsPlugin(t *testing.T) {
	asker := askerOf(execConfig(t, "https://"+closedPort(t), "exit 3"), membertest.Patience)
	defer asker.close()
	got := asker.get(t.Context(), "readyz")
	if got.failure != federation.FailureUnauthorised || !strings.Contains(got.message, "exit code 3") {
		t.Errorf("probe = %q, %q; want unauthorised with exit code 3", got.failure, got.message)
	}
}

func TestProbeReadsTheTokenFile(t *testing.T) {
	ca := newAuthority(t)
	var sent atomic.Value
	host := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { sent.Store(r.Header.Get("Authorization")) },
		ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour)), nil)
	file := filepath.Join(t.TempDir(), "token")
	cfg := &rest.Config{Host: host, BearerTokenFile: file, TLSClientConfig: rest.TLSClientConfig{CAData: ca.pem}}
	asker := askerOf(cfg, membertest.Patience)
	defer asker.close()
	if got := asker.get(t.Context(), "readyz"); got.failure != federation.FailureContext {
		t.Errorf("without the file, probe = %q, %q; want context", got.failure, got.message)
	}
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := asker.get(t.Context(), "readyz"); got.failure != federation.FailureNone {
		t.Errorf("with the file, probe = %q, %q; want a good one", got.failure, got.message)
	}
	if sent.Load() != "Bearer from-a-file" {
		t.Errorf("Authorization = %q, want the file's token", sent.Load())
	}
}

// execConfig returns the configuration of a cluster whose credentials a shell script
// prints.
func execConfig(t *testing.T, host, script string) *rest.Config {
	t.Helper()
	return &rest.Config{Host: host, ExecProvider: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1",
		Command:    "sh",
		Args:       []string{"-c", script, t.Name()}, // the name prevents client-go from sharing it
		// InteractiveMode is required by the API.
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}}
}
