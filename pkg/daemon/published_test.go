package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
)

// Users who may push can name any context, and read the result on the page. It must not
// reveal which other contexts exist, nor the file layout of this machine.
func TestWhatIsWrongWithTheKubeconfigIsToldToTheLogAlone(t *testing.T) {
	const other = "payments-production"
	for name, c := range map[string]struct {
		cluster, user string // of context a, in YAML
		says          string
		file          bool // it may appear later
	}{
		"no context":         {says: `context "a" is not in fedsync's kubeconfig`},
		"no token file":      {user: "{tokenFile: %s/token}", says: "token file", file: true},
		"no certificate":     {user: "{client-certificate: %s/a.crt, client-key-data: eA==}", says: "client certificate", file: true},
		"no authority":       {cluster: `{server: "https://127.0.0.1:1", certificate-authority: %s/ca.crt}`, says: "certificate authority", file: true},
		"wrong proxy":        {cluster: `{server: "https://127.0.0.1:1", proxy-url: "socks4://%s"}`, says: "fedsync's log says why"},
		"plugin without API": {user: "{exec: {command: %s/plugin}}", says: "fedsync's log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			context := "{name: a, context: {cluster: a, user: a}}, "
			if c.cluster+c.user == "" {
				context = ""
			}
			d, log := withKubeconfig(t, dir, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: a, cluster: %s}]
contexts: [%s{name: %s, context: {cluster: a, user: a}}]
users: [{name: a, user: %s}]
`, strings.ReplaceAll(cmp.Or(c.cluster, `{server: "https://127.0.0.1:1"}`), "%s", dir), context, other,
				strings.ReplaceAll(cmp.Or(c.user, "{token: x}"), "%s", dir)))
			for range 3 {
				_, err := d.connect(false)("a")
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("connect = %v, want an error with %q", err, c.says)
				}
				for _, private := range []string{dir, other} {
					if strings.Contains(err.Error(), private) {
						t.Errorf("%q is in %q", private, err)
					}
				}
				if _, file := errors.AsType[*member.FileError](err); file != c.file {
					t.Errorf("connect = %v is about a file: %t, want %t", err, file, c.file)
				}
			}
			if entries := log.FilterMessage("kubeconfig has no usable connection to a cluster").All(); len(entries) != 1 ||
				!strings.Contains(fmt.Sprint(entries[0].ContextMap()), dir) {
				t.Errorf("log = %v, want the whole text once", entries)
			}
			if _, err := d.connect(true)("a"); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("a command reports %v, want the whole text", err)
			}
		})
	}
}

func TestAKubeconfigThatCannotBeReadIsAFindingWithoutItsPath(t *testing.T) {
	dir := t.TempDir()
	d, _ := withKubeconfig(t, dir, unreachable)
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig"), []byte("clusters: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.kubeconfig, _ = config.NewKubeconfig(d.cfg, zap.NewNop())
	for _, readOnly := range []bool{false, true} {
		l := newLoop(d, readOnly)
		findings := l.findings()
		if len(findings) != 1 || findings[0].ID != "D01" || findings[0].Severity != federation.SeverityError {
			t.Fatalf("findings = %v, want one error D01", findings)
		}
		if told := strings.Contains(findings[0].Message.String(), dir); told != readOnly {
			t.Errorf("read-only %t: the path is in %q: %t", readOnly, findings[0].Message, told)
		}
	}
}

// withKubeconfig makes a daemon and captures its log.
func withKubeconfig(t *testing.T, dir, content string) (*Daemon, *observer.ObservedLogs) {
	t.Helper()
	cfg := stagedConfig(t)
	cfg.Kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(cfg.Kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.InfoLevel)
	d, err := newParts(cfg, Options{Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	return d, log
}
