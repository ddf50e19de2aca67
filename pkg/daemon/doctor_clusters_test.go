package daemon

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
)

// hidden is what no finding may show.
const hidden = "s3cr3t-t0k3n-of-the-operator"

func TestFindingsOfClustersComeAndGo(t *testing.T) {
	t.Parallel()
	s := lab.Shared(t)
	p := newPatient(t, s, func(p *patient) {
		p.cfg.ProbeTimeout = 2 * time.Second // so that no probe waits long for an answer
		p.grant(s.Clusters()[1], "*")
		p.ownKubeconfig()
		p.files[replicaSetFile] = p.replicaSet(2) // so that nothing moves
	})
	for _, f := range clusterFaults(p) {
		p.try(t, f)
	}
}

// ownKubeconfig makes a kubeconfig that the test may change.
func (w *world) ownKubeconfig() {
	w.t.Helper()
	w.cfg.Kubeconfig = tempFile(w.t, "kubeconfig")
	w.rewrite(func(*clientcmdapi.Config) {})
}

// rewrite writes the test's kubeconfig, in which the user of the second cluster is the
// test's own. It gets its permissions from grant.
func (w *world) rewrite(change func(*clientcmdapi.Config)) {
	w.t.Helper()
	w.writeKubeconfig(func(c *clientcmdapi.Config) {
		c.AuthInfos[c.Contexts[w.sandbox.Clusters()[1]].AuthInfo].Impersonate = w.namespace
		change(c)
	})
}

// writeKubeconfig writes the test's kubeconfig: the sandbox's, with a change.
func (w *world) writeKubeconfig(change func(*clientcmdapi.Config)) {
	w.t.Helper()
	config, err := clientcmd.LoadFromFile(w.sandbox.Kubeconfig())
	if err != nil {
		w.t.Fatal(err)
	}
	change(config)
	if err := clientcmd.WriteToFile(*config, w.cfg.Kubeconfig); err != nil {
		w.t.Fatal(err)
	}
}

// server changes the server of a cluster's context, and user its credentials.
func (w *world) server(cluster string, change func(*clientcmdapi.Cluster)) {
	w.t.Helper()
	w.rewrite(func(c *clientcmdapi.Config) { change(c.Clusters[c.Contexts[cluster].Cluster]) })
}

func (w *world) user(cluster string, change func(*clientcmdapi.AuthInfo)) {
	w.t.Helper()
	w.rewrite(func(c *clientcmdapi.Config) { change(c.AuthInfos[c.Contexts[cluster].AuthInfo]) })
}

func clusterFaults(p *patient) []fault {
	t, all := p.world.t, p.sandbox.Clusters()
	lost, other := all[1], all[2]
	mend := func(p *patient) { p.rewrite(func(*clientcmdapi.Config) {}) }
	probes := note("probes", lost, none, "probes failed", "--context="+lost+" get --raw /readyz")
	overloaded := serve(t, http.StatusInternalServerError, "[-]etcd failed: Bearer "+hidden+" was not let in")
	return []fault{
		{
			name: "no context",
			cause: func(p *patient) {
				p.rewrite(func(c *clientcmdapi.Config) { delete(c.Contexts, lost) })
			},
			want: []symptom{warning("D01", lost, none, "context \""+lost+"\" is not in fedsync's kubeconfig", "fedsync's log names those that are", "add the context")},
			mend: mend,
		},
		{
			name:  "a token that is not accepted",
			cause: func(p *patient) { p.user(lost, func(u *clientcmdapi.AuthInfo) { u.Token = hidden }) },
			want:  []symptom{warning("D02", lost, none, "401 Unauthorized", "renew the credentials"), probes},
			mend:  mend,
		},
		{
			name:  "nobody listens",
			cause: func(p *patient) { p.server(lost, func(c *clientcmdapi.Cluster) { c.Server = "https://127.0.0.1:1" }) },
			want:  []symptom{warning("D03", lost, none, "dial tcp 127.0.0.1:1: connect: connection refused", "start the API server"), probes},
			mend:  mend,
		},
		{
			name: "nobody answers",
			cause: func(p *patient) {
				silent := listen(p.world.t)
				p.server(lost, func(c *clientcmdapi.Cluster) { c.Server = "https://" + silent })
			},
			want: []symptom{warning("D03", lost, none, "no answer in time", "no TLS handshake", "routes and firewalls"), probes},
			mend: mend,
		},
		{
			name: "a certificate of somebody else",
			cause: func(p *patient) {
				p.server(lost, func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = certificateOf(overloaded) })
			},
			want: []symptom{warning("D03", lost, none, "certificate signed by unknown authority", "put the cluster's own certificate authority"), probes},
			mend: mend,
		},
		{
			name: "an API server that is not ready, and says more than it should",
			cause: func(p *patient) {
				p.server(lost, func(c *clientcmdapi.Cluster) {
					c.Server, c.CertificateAuthorityData = overloaded.URL, certificateOf(overloaded)
				})
			},
			want: []symptom{warning("D05", lost, none, "500 Internal Server Error: etcd failed: Bearer *** was not let in", "/readyz?verbose"), probes},
			mend: mend,
		},
		{
			name: "two contexts that lead to one server",
			cause: func(p *patient) {
				p.rewrite(func(c *clientcmdapi.Config) { *c.Contexts[other] = *c.Contexts[lost] })
			},
			want: []symptom{failing("D04", other, none, "the same cluster as "+lost, "correct the context")},
			mend: mend,
		},
		{
			name:  "an overlay for a cluster that is none",
			files: map[string]string{overlay("nowhere"): "resources: [../../base]\n"},
			want:  []symptom{failing("D04", "", none, `overlay for cluster "nowhere"`, "rename the folder")},
		},
		{
			name:    "a user who may not write Services",
			cause:   func(p *patient) { p.grant(lost, "get", "list", "watch") },
			files:   p.with(serviceFile, "labels: {app: web}", "labels: {app: web, more: labels}"),
			refused: true,
			want:    []symptom{failing("D07", lost, p.ref("Service", "web"), `cannot patch resource "services"`, "grant")},
			mend:    func(p *patient) { p.grant(lost, "*") },
		},
		{
			name: "a user who may not see Services",
			cause: func(p *patient) {
				p.grant(lost, "get", "patch", "create")
				p.user(lost, func(u *clientcmdapi.AuthInfo) {
					u.ImpersonateUserExtra = map[string][]string{"example.com/session": {"another"}} // which begins with lists
				})
				p.await("Services are not seen any more", hasFinding("D07", lost, "may not watch services"))
			},
			files:   map[string]string{moreFile: p.unpinned("second")},
			refused: true,
			want: []symptom{
				failing("D07", lost, federation.ObjectRef{Kind: "services"}, "drift and objects to prune of this kind are not detected", "list and watch"),
				warning("D07", lost, none, "may not watch", "services, so it does not know which node ports are taken", "--verb=list,watch --resource=services"),
				warning("port-waiting", "", p.ref("Service", "second"), "until Services may be listed in "+lost),
			},
			mend: func(p *patient) {
				p.grant(lost, "*")
				// A forbidden watch is retried after minutes; a new session tries
				// immediately.
				mend(p)
			},
		},
	}
}

// serve starts a server that answers every request with a status and a body.
func serve(t *testing.T, code int, body string) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, body, code)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients leave in the middle of handshakes
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func certificateOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// listen accepts connections at the address and never answers.
func listen(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// grant gives the user with the namespace's name the permissions that fedsync needs in a
// cluster, with these verbs on Services.
func (w *world) grant(cluster string, services ...string) {
	w.t.Helper()
	roles := w.sandbox.Client(w.t, cluster).RbacV1()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: services},
			{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces", "secrets", "pods", "nodes", "resourcequotas"}, Verbs: []string{"*"}},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update"}},
			{APIGroups: []string{"apps", "networking.k8s.io", "discovery.k8s.io", "autoscaling"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		},
	}
	_, err := roles.ClusterRoles().Update(w.t.Context(), role, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = roles.ClusterRoles().Create(w.t.Context(), role, metav1.CreateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = roles.ClusterRoleBindings().Create(w.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: w.namespace}},
	}, metav1.CreateOptions{})
	if err == nil {
		w.t.Cleanup(func() { w.revoke(cluster) })
	} else if !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
	// The API server takes a moment to notice.
	may := func(verb string) bool {
		return slices.Contains(services, verb) || slices.Contains(services, "*")
	}
	reviews := w.sandbox.Client(w.t, cluster).AuthorizationV1().SubjectAccessReviews()
	eventually(w.t, "the grant is in effect", func() string {
		for _, verb := range []string{"list", "patch"} {
			review, err := reviews.Create(w.t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: w.namespace, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Resource: "services"},
			}}, metav1.CreateOptions{})
			if err != nil || review.Status.Allowed != may(verb) {
				return fmt.Sprintf("%s is not as granted: %v", verb, err)
			}
		}
		return ""
	})
}

// revoke ends all grants of a cluster.
func (w *world) revoke(cluster string) {
	ctx := context.WithoutCancel(w.t.Context())
	roles := w.sandbox.Client(w.t, cluster).RbacV1()
	for _, err := range []error{
		roles.ClusterRoleBindings().Delete(ctx, w.namespace, metav1.DeleteOptions{}),
		roles.ClusterRoles().Delete(ctx, w.namespace, metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Error(err)
		}
	}
}
