package daemon

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAnExpiredTokenMovesNothingAndAMendedOneNeedsNoRestart(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.cfg.Kubeconfig = w.kubeconfig(nil)
	locked, open := w.sandbox.Clusters()[0], w.sandbox.Clusters()[1:]
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
	}))

	const secret = "no-such-token-4711"
	var good *clientcmdapi.AuthInfo
	w.changeKubeconfig(w.cfg.Kubeconfig, func(config *clientcmdapi.Config) {
		name := config.Contexts[locked].AuthInfo
		good = config.AuthInfos[name]
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: secret}
	})
	d.await("the token is seen to be refused", func(r *status.Report) string {
		return strings.TrimPrefix(string(clusterOf(r, locked).State), string(federation.ClusterUnknown))
	})
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	report := d.await("the cluster is Unknown and the others go on", func(r *status.Report) string {
		c := clusterOf(r, locked)
		if c.State != federation.ClusterUnknown || c.Failure != federation.FailureUnauthorised {
			return "it is " + string(c.State) + " " + string(c.Failure)
		}
		for _, name := range open {
			if c := clusterOf(r, name); !c.Current || c.Applied.SHA != second {
				return name + " is not current"
			}
		}
		if r.Revision.SHA != second || r.State == status.Success || !strings.Contains(r.Description.String(), locked) {
			return "the description does not name it"
		}
		return ""
	})
	said, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(said), secret) {
		t.Errorf("the report has the token in it: %s", said)
	}
	if got := w.value(locked, "a"); got != "1" {
		t.Errorf("a in %s = %q, want it unchanged at 1", locked, got)
	}

	w.changeKubeconfig(w.cfg.Kubeconfig, func(config *clientcmdapi.Config) {
		config.AuthInfos[config.Contexts[locked].AuthInfo] = good
	})
	d.live(second)
	w.awaitValue(locked, "a", "2")
}

func TestAContextMayComeLaterAndAHalfWrittenKubeconfigLosesNothing(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	late := w.sandbox.Clusters()[2]
	var missing *clientcmdapi.Context
	w.cfg.Kubeconfig = w.kubeconfig(func(config *clientcmdapi.Config) {
		missing = config.Contexts[late]
		delete(config.Contexts, late)
	})
	d := w.start()
	w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
	})
	d.await("the missing context is named", func(r *status.Report) string {
		if said, err := json.Marshal(r); err != nil || strings.Contains(string(said), w.cfg.Kubeconfig) {
			t.Errorf("the report has the kubeconfig's path in it: %s, %v", said, err)
		}
		c := clusterOf(r, late)
		if c.State != federation.ClusterUnknown || c.Failure != federation.FailureContext || !strings.Contains(c.Error.String(), late) {
			return "it is " + string(c.State) + " " + c.Error.String()
		}
		return ""
	})
	for _, cluster := range w.sandbox.Clusters()[:2] {
		w.awaitValue(cluster, "a", "1")
	}

	whole, err := os.ReadFile(w.cfg.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.cfg.Kubeconfig, []byte("apiVersion: v1\nclusters: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.await("the broken file is a finding", hasFinding("E D01", "read the kubeconfig", "its last readable version stays in use"))
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	for _, cluster := range w.sandbox.Clusters()[:2] {
		w.awaitValue(cluster, "a", "2")
	}

	if err := os.WriteFile(w.cfg.Kubeconfig, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	w.changeKubeconfig(w.cfg.Kubeconfig, func(config *clientcmdapi.Config) { config.Contexts[late] = missing })
	d.live(second)
	if r := d.reports.Newest(); hasFinding("D01")(r) == "" {
		t.Errorf("the kubeconfig is valid and there is still a finding:\n%s", describe(r))
	}
}
