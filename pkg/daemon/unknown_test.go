package daemon

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The tests that change objects outside namespaces share one sandbox, one after the other.
func TestWhatAClusterDoesNotShowIsReportedAndLeftAlone(t *testing.T) {
	s := lab.Own(t, 3)
	t.Run("a cluster that does not let us look loses nothing", func(t *testing.T) { closedCluster(t, s) })
	t.Run("the UIDs of Google's controllers", func(t *testing.T) { sharedUIDs(t, s) })
}

// closedCluster denies fedsync access to one cluster of three, in each way that reveals
// nothing about what runs there.
func closedCluster(t *testing.T, s *lab.Sandbox) {
	all := s.Clusters()
	closed := all[1]
	p := newPatient(t, s, func(p *patient) {
		p.account(closed)
		p.cfg.Kubeconfig = tempFile(t, "kubeconfig")
		p.useToken(closed, nil)
	})
	p.awaitReplicas(all, 2, 2, 2)

	t.Run("its token has ended, and fedsync is restarted", func(t *testing.T) {
		p := p.under(t)
		before := p.versionsIn(all)
		p.endAccount(closed)
		d02 := warning("D02", closed, none, "401 Unauthorized", "renew the credentials in the kubeconfig (context \""+closed+"\")")
		p.staysAsItIs(closed, before, d02)

		p.stop()
		p.ran = p.start()
		p.staysAsItIs(closed, before, d02,
			warning("replicas-waiting", "", p.ref("ReplicaSet", "web"), "not divided again until "+closed+" is back"))

		p.account(closed)
		p.useToken(closed, nil)
		p.isOpenAgain(before)
		p.stop()
	})
	p.ran = p.start()
	t.Run("its certificate is signed by another authority", func(t *testing.T) {
		p := p.under(t)
		before := p.versionsIn(all)
		foreign := certificateOf(serve(t, 200, "ok"))
		p.useToken(closed, func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = foreign })
		p.staysAsItIs(closed, before, warning("D03", closed, none, "its certificate is not trusted", "certificate authority into the kubeconfig"))
		p.useToken(closed, nil)
		p.isOpenAgain(before)
	})
	t.Run("its /readyz may not be asked", func(t *testing.T) {
		p := p.under(t)
		before := p.versionsIn(all)
		gateway := p.gateway(closed)
		p.useToken(closed, func(c *clientcmdapi.Cluster) {
			c.Server, c.CertificateAuthorityData = gateway.URL, certificateOf(gateway.Server)
		})
		p.staysAsItIs(closed, before, warning("D02", closed, none, "403 Forbidden", "cannot get path", "grant fedsync's role to the user of context"))
		gateway.open.Store(true)
		p.isOpenAgain(before)
		p.useToken(closed, nil)
	})
}

// gateway is a proxy in front of an API server: it forwards all requests except /readyz,
// until it is opened. The API server itself allows everyone to read /readyz.
type gateway struct {
	*httptest.Server

	open atomic.Bool
}

func (w *world) gateway(cluster string) *gateway {
	w.t.Helper()
	cfg := rest.AnonymousClientConfig(w.sandbox.RESTConfig(cluster))
	cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // No proxy is no error.
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(server)
	pass.Transport, pass.FlushInterval, pass.ErrorLog = transport, -1, log.New(io.Discard, "", 0)
	g := &gateway{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && !g.open.Load() {
			http.Error(w, `forbidden: User "fedsync" cannot get path "/readyz"`, http.StatusForbidden)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	g.Config.ErrorLog = pass.ErrorLog
	g.StartTLS()
	w.t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
		utilnet.CloseIdleConnectionsFor(transport)
	})
	return g
}

// staysAsItIs waits until a cluster is reported as Unknown, and checks that nothing is
// written because of that during many more probes.
func (p *patient) staysAsItIs(closed string, before map[string]string, symptoms ...symptom) {
	t := p.world.t
	t.Helper()
	all := p.sandbox.Clusters()
	unknown := func(r *status.Report) string {
		switch c := clusterOf(r, closed); {
		case c.State != federation.ClusterUnknown:
			return closed + " is " + string(c.State)
		case r.State != status.Pending:
			return "the revision is " + string(r.State)
		}
		for _, s := range symptoms {
			if !s.shown(r) {
				return "there is no " + s.String()
			}
		}
		return ""
	}
	p.await(closed+" is Unknown, and the others are equal to Git", func(r *status.Report) string {
		for _, name := range []string{all[0], all[2]} {
			if !clusterOf(r, name).Current {
				return name + " is not current"
			}
		}
		return unknown(r)
	})
	enough, again := time.After(2*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for looking := true; looking; {
		select {
		case <-enough:
			looking = false
		case <-again.C:
		}
		if missing := unknown(p.reports.Newest()); missing != "" {
			t.Errorf("later, %s: %s", missing, describe(p.reports.Newest()))
			return
		}
	}
	if after := p.versionsIn(all); !maps.Equal(after, before) {
		t.Errorf("web is at generation %v, was at %v: want nothing written", after, before)
	}
}

// isOpenAgain waits until all is well, and checks that nothing was moved until then.
func (p *patient) isOpenAgain(before map[string]string) {
	p.world.t.Helper()
	p.healthy()
	if after := p.versionsIn(p.sandbox.Clusters()); !maps.Equal(after, before) {
		p.world.t.Errorf("web is at generation %v, was at %v: want nothing written", after, before)
	}
}

// account creates an account for fedsync in a cluster, with all permissions on objects and
// the default ones on other paths, such as /readyz.
func (w *world) account(cluster string) {
	w.t.Helper()
	client := w.sandbox.Client(w.t, cluster)
	meta := metav1.ObjectMeta{Name: w.namespace}
	_, err := client.CoreV1().ServiceAccounts(w.namespace).Create(w.t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	_, roleErr := client.RbacV1().ClusterRoles().Create(w.t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
	}, metav1.CreateOptions{})
	_, bindingErr := client.RbacV1().ClusterRoleBindings().Create(w.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.namespace, Name: meta.Name}},
	}, metav1.CreateOptions{})
	for _, err := range []error{roleErr, bindingErr} {
		if err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
	}
}

// endAccount deletes the account: its tokens are no longer accepted.
func (w *world) endAccount(cluster string) {
	w.t.Helper()
	accounts := w.sandbox.Client(w.t, cluster).CoreV1().ServiceAccounts(w.namespace)
	if err := accounts.Delete(w.t.Context(), w.namespace, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// useToken writes the kubeconfig with a new token of the account and, if there is one, a
// change of the context's server.
func (w *world) useToken(cluster string, change func(*clientcmdapi.Cluster)) {
	w.t.Helper()
	accounts := w.sandbox.Client(w.t, cluster).CoreV1().ServiceAccounts(w.namespace)
	token, err := accounts.CreateToken(w.t.Context(), w.namespace, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.writeKubeconfig(func(c *clientcmdapi.Config) {
		c.AuthInfos[c.Contexts[cluster].AuthInfo] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
		if change != nil {
			change(c.Clusters[c.Contexts[cluster].Cluster])
		}
	})
}
