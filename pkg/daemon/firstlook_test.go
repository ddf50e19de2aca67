package daemon

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// unreachable is the kubeconfig of a cluster to which no request is sent.
const unreachable = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: x}}]
`

// A report is made before any cluster has answered. What the first answer shows of old
// objects must be an error nevertheless, or a single dry run would exit with 0.
func TestAFirstLookSaysHowBadAFaultIs(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("web", map[string]string{
		"fedsync.yaml": "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\n" +
			"spec:\n  clusters: [{name: a}]\n  apps: [{name: web, path: apps/web}]\n",
		"apps/web/ingress.yaml": "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\n" +
			"spec:\n  tls: [{secretName: cert}]\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n",
		"apps/web/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
	})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.New()
	cfg.Repository, cfg.Kubeconfig = repo.Path, kubeconfig
	d, err := newParts(cfg, Options{Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	snapshot, err := d.source.Snapshot(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(d, true)
	l.read(source.Event{Snapshot: &snapshot})
	go l.renderings.run(ctx)
	for l.live == nil {
		<-l.renderings.news
		l.follow(ctx)
	}
	cancel()
	l.members.wait()

	ingress := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "web"}
	facts := federation.ClusterFacts{
		State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, ServicesKnown: true, IngressesKnown: true,
		Certificates: []federation.Certificate{{Namespace: "default", Name: "cert"}},
	}
	l.members.facts = federation.Facts{Clusters: map[string]federation.ClusterFacts{"a": facts}}
	l.members.outcomes = map[string]status.ClusterInput{"a": {
		Facts: facts, Current: true, Applied: snapshot.Revision, Revision: snapshot.Revision,
		Observations: []federation.Observation{{Cluster: "a", App: "web", Object: ingress, Created: time.Now().Add(-time.Hour), Health: federation.Healthy}},
	}}
	for look := range 2 {
		l.reschedule(t.Context())
		l.publish()
		r := l.reports.Newest()
		if r.State != status.Failure {
			t.Errorf("look %d: got %s, want a failure: the TLS Secret of an old Ingress is missing\n%v", look, r.State, r.Findings)
		}
	}
}
