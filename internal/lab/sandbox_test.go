package lab_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestSharedClustersHaveTheNamespaceOfATest(t *testing.T) {
	s := lab.Shared(t)
	if got := len(s.Clusters()); got < 3 {
		t.Fatalf("the shared sandbox has %d clusters, want at least 3", got)
	}
	var name string
	t.Run("while it runs", func(t *testing.T) {
		name = s.Namespace(t)
		for _, cluster := range s.Clusters() {
			namespace, err := s.Client(t, cluster).CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatalf("get namespace %s in %s: %v", name, cluster, err)
			}
			if namespace.Status.Phase != corev1.NamespaceActive {
				t.Errorf("namespace %s in %s is %s, want Active", name, cluster, namespace.Status.Phase)
			}
			configMaps := s.Dynamic(t, cluster).Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"})
			if _, err := configMaps.Namespace(name).List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Errorf("list ConfigMaps in %s: %v", cluster, err)
			}
		}
	})
	for _, cluster := range s.Clusters() {
		namespace, err := s.Client(t, cluster).CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && namespace.DeletionTimestamp == nil {
			t.Errorf("namespace %s still exists in %s after its test", name, cluster)
		}
	}
}

func TestKubeconfigHasAContextForEveryCluster(t *testing.T) {
	s := lab.Shared(t)
	kubeconfig, err := clientcmd.LoadFromFile(s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range s.Clusters() {
		c, ok := kubeconfig.Contexts[cluster]
		if !ok {
			t.Errorf("no context %s in %s", cluster, s.Kubeconfig())
			continue
		}
		if entry := kubeconfig.Clusters[c.Cluster]; entry.InsecureSkipTLSVerify || len(entry.CertificateAuthorityData) == 0 {
			t.Errorf("context %s does not verify the server's certificate", cluster)
		}
	}
}

func TestRestrictedUserMayDoNothing(t *testing.T) {
	s := lab.Shared(t)
	cluster := s.Clusters()[0]
	client, err := kubernetes.NewForConfig(s.Restricted(cluster))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list namespaces: %v, want Forbidden", err)
	}
	kubeconfig, err := clientcmd.LoadFromFile(s.RestrictedKubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, cluster, nil, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.BearerToken != s.Restricted(cluster).BearerToken {
		t.Error("the restricted kubeconfig has another user's token")
	}
}

func TestOwnClusterCanBePausedAndKilled(t *testing.T) {
	s := lab.Own(t, 1)
	cluster := s.Clusters()[0]
	ns := s.Namespace(t)
	address := host(t, s.RESTConfig(cluster).Host)

	s.Pause(t, cluster)
	if err := handshake(t, address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused cluster answered a handshake with %v, want no answer", err)
	}
	s.Resume(t, cluster)
	if _, err := s.Client(t, cluster).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	s.Kill(t, cluster)
	if err := handshake(t, address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a killed cluster answered a handshake with %v, want a refusal", err)
	}
	s.Start(t, cluster)
	if _, err := s.Client(t, cluster).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Errorf("after the start: %v", err)
	}
}

func TestForgeTakesAPushAndTellsOfIt(t *testing.T) {
	forge := lab.Shared(t).Forge(t).NewRepository(t)
	calls := make(chan string, 10) // more than one push can cause
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls <- r.Header.Get("X-Gitea-Event") + " " + r.Header.Get("X-Gitea-Signature")
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is closed
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	forge.AddWebhook(t, "http://"+listener.Addr().String()+"/webhook", "secret")

	repo := sourcetest.New(t)
	sha := repo.Push("first", nil)
	repo.Git("push", "--quiet", forge.PushURL(), "main")

	select {
	case call := <-calls:
		if event, signature, _ := strings.Cut(call, " "); event != "push" || signature == "" {
			t.Errorf("the forge called with event %q and signature %q, want a signed push", event, signature)
		}
	case <-time.After(20 * time.Second):
		t.Error("the forge did not call its webhook")
	}
	err = forge.Call(t.Context(), http.MethodPost, "/repos/"+forge.Owner+"/"+forge.Repository+"/statuses/"+sha,
		map[string]string{"state": "pending", "context": "fedsync/web", "description": "on its way"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := forge.Statuses(t, sha)
	want := lab.Status{Context: "fedsync/web", State: "pending", Description: "on its way"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("statuses of the commit are %v, want one: %v", got, want)
	}
}

func host(t *testing.T, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// handshake connects and waits at most two seconds for the server's part.
func handshake(t *testing.T, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var d net.Dialer
	connection, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	// The certificate is not verified and nothing is sent: the only question is whether
	// the server answers.
	err = tls.Client(connection, &tls.Config{ServerName: "127.0.0.1"}).HandshakeContext(ctx)
	if errors.Is(err, io.EOF) {
		t.Fatal("the connection was closed")
	}
	return err
}
