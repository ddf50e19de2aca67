package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/sandbox/faults"
)

// fault sends a request to the port of faults, as curl would.
func fault(t *testing.T, method, path, body string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, running.Description.Faults+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s, %v", method, path, answer.Status, b, err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

// faulty returns a client with the kubeconfig that points to the proxies.
func faulty(t *testing.T, i int) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(configIn(t, running.Description.Kubeconfig, i))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKubeconfigOfAFaultySandboxPointsToItsProxies(t *testing.T) {
	t.Cleanup(func() { fault(t, http.MethodDelete, "/rules", "", nil) })
	fault(t, http.MethodPost, "/rules", `{"cluster":"`+running.Description.Clusters[0]+`","path":"/configmaps$","action":"answer","status":403}`, nil)
	list := func(c kubernetes.Interface) error {
		_, err := c.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := list(faulty(t, 0)); !apierrors.IsForbidden(err) {
		t.Errorf("through the proxy: %v, want Forbidden", err)
	}
	if err := list(client(t, 0)); err != nil {
		t.Errorf("past the proxy: %v", err)
	}
	if err := list(faulty(t, 1)); err != nil {
		t.Errorf("through the proxy of another cluster: %v", err)
	}
	var log faults.Requests
	if fault(t, http.MethodGet, "/requests", "", &log); len(log.Requests) != 2 || log.Requests[0].Status != 403 || log.Requests[1].Backend != 200 {
		t.Errorf("the log is %+v", log)
	}
}

func TestPortOfFaultsIsNotForBrowsers(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a page's script": func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		"a rebound name":  func(r *http.Request) { r.Host = "example.com" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, running.Description.Faults+"/rules", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s is answered %s, want 403", name, answer.Status)
		}
	}
}

func TestRestoredClusterHasTheObjectsOfTheBackup(t *testing.T) {
	through, ns := faulty(t, 0), namespace(t, 0)
	cluster := "/clusters/" + running.Description.Clusters[0]
	t.Cleanup(func() { fault(t, http.MethodPost, cluster+"/return", "", nil) })
	put := func(name string) {
		t.Helper()
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := through.CoreV1().ConfigMaps(ns).Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	has := func(name string) bool {
		_, err := through.CoreV1().ConfigMaps(ns).Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	}
	put("then")
	var taken struct{ Backup int }
	fault(t, http.MethodPost, "/backups", "", &taken)
	put("later")
	fault(t, http.MethodPost, cluster+"/restore?backup="+strconv.Itoa(taken.Backup), "", nil)
	eventually(t, "the restored cluster has what there was then", func() bool { return has("then") })
	if has("later") {
		t.Error("it also has an object from after the backup")
	}
	fault(t, http.MethodPost, cluster+"/return", "", nil)
	eventually(t, "the cluster itself has both", func() bool { return has("then") && has("later") })
}
