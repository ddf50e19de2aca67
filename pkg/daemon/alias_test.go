package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/status"
)

// alias is the context with another address of the first cluster.
const alias = "alias"

// withAlias gives the test a kubeconfig in which the first cluster has two contexts with
// two URLs, such as the endpoints of a cluster by IP address and by DNS name.
func (w *world) withAlias() {
	w.t.Helper()
	first := w.sandbox.Clusters()[0]
	w.cfg.Kubeconfig = w.kubeconfig(func(config *clientcmdapi.Config) {
		context := *config.Contexts[first]
		server := *config.Clusters[context.Cluster]
		server.Server = strings.Replace(server.Server, "127.0.0.1", "localhost", 1)
		config.Clusters[alias], context.Cluster = &server, alias
		config.Contexts[alias] = &context
	})
}

// uids returns the UIDs of all objects of the federation in a cluster.
func (w *world) uids(cluster string) map[string]string {
	w.t.Helper()
	uids := map[string]string{}
	for kind, resource := range kinds {
		all, err := w.sandbox.Dynamic(w.t, cluster).Resource(resource).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, u := range all.Items {
			uids[kind+"/"+u.GetName()] = string(u.GetUID())
			if u.GetDeletionTimestamp() != nil {
				uids[kind+"/"+u.GetName()] += " is being deleted"
			}
		}
	}
	return uids
}

func TestAClusterThatIsReachedByAnotherNameIsNotEmptied(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.withAlias()
	all := w.sandbox.Clusters()
	deleting := func(clusters ...string) string { return w.fileOf(clusters, "web") + "  onRemove: Delete\n" }
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":       deleting(all[0], all[1]),
		"apps/web/a.yaml":    w.settings("a", "1"),
		"apps/web/web.yaml":  w.replicaSet(1),
		"apps/web/port.yaml": w.service(),
	}))
	before := w.uids(all[0])
	if len(before) < 3 {
		t.Fatalf("the cluster has the objects %v", before)
	}
	rename := func(d *ran, to string) {
		t.Helper()
		d.live(w.repo.Push("rename to "+to, map[string]string{"fedsync.yaml": deleting(to, all[1])}))
		d.await("the earlier name is forgotten", func(*status.Report) string {
			r := roll.ReadRoster(d.rosterFile)
			if len(r.Clusters) != 2 || r.Clusters[to] == "" || r.Brought[to].UID == "" {
				return fmt.Sprintf("the roster has %v", r)
			}
			return ""
		})
		after := w.uids(all[0])
		for name, uid := range before {
			if after[name] != uid {
				t.Errorf("after the renaming to %s %s is %q, want %q", to, name, after[name], uid)
			}
		}
	}
	rename(d, alias)
	rename(d, all[0])

	// The same, while the daemon is down.
	d.stop()
	w.repo.Push("while it is down", map[string]string{"fedsync.yaml": deleting(alias, all[1])})
	d = w.start()
	rename(d, alias)

	// A cluster that really leaves is still emptied.
	d.live(w.repo.Push("leave", map[string]string{"fedsync.yaml": deleting(alias)}))
	w.awaitValue(all[1], "a", "-")
	if got := w.value(all[0], "a"); got != "1" {
		t.Errorf("a in the remaining member is %q, want 1", got)
	}
}

func TestOneClusterTwiceInTheFileIsWrittenOnceAndSaid(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.withAlias()
	all := w.sandbox.Clusters()
	twice := w.fileOf([]string{all[0], all[1], alias}, "web")
	// An overlay would make the two names fight.
	overlays := map[string]string{
		"fedsync.yaml":                     twice,
		"apps/web/base/kustomization.yaml": "resources: [a.yaml, port.yaml]\n",
		"apps/web/base/a.yaml":             w.settings("a", "1"),
		"apps/web/base/port.yaml":          w.service(),
		"apps/web/clusters/" + alias + "/kustomization.yaml": "resources: [../../base]\npatches:\n- patch: |\n    {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: " +
			w.namespace + "}, data: {value: \"of the alias\"}}\n",
	}
	d := w.start()
	sha := w.repo.Push("first", overlays)
	said := func(loser, winner string) func(*status.Report) string {
		return func(r *status.Report) string {
			if r.Revision.SHA != sha || r.State != status.Failure {
				return "it is no failure"
			}
			if c := clusterOf(r, winner); !c.Current {
				return winner + " is not current"
			}
			for _, f := range r.Findings {
				if f.ID == "fight" || strings.HasPrefix(f.ID, "D11") {
					return "there is a finding of a fight: " + f.String()
				}
			}
			return hasFinding("E D04", loser, "is the same cluster as "+winner, "remove "+loser)(r)
		}
	}
	d.await("the error names both", said(alias, all[0]))
	w.awaitValue(all[0], "a", "1")
	before := w.versions()
	d.stop()
	d = w.start()
	d.await("the error names both after a restart", said(alias, all[0]))
	quiet := time.NewTimer(2 * time.Second)
	<-quiet.C
	if after := w.versions(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("objects were written after the restart:\n%v\n%v", before, after)
	}

	// The earlier member is maintained, even if it is listed below the other.
	sha = w.repo.Push("other order", map[string]string{"fedsync.yaml": w.fileOf([]string{alias, all[0], all[1]}, "web")})
	d.await("the earlier member goes on", said(alias, all[0]))
	if got := w.value(all[0], "a"); got != "1" {
		t.Errorf("a is %q, want 1", got)
	}

	// When Git is fixed, the remaining name is written.
	sha = w.repo.Push("mended", map[string]string{"fedsync.yaml": w.fileOf([]string{alias, all[1]}, "web")})
	d.live(sha)
	w.awaitValue(all[0], "a", "of the alias")
}
