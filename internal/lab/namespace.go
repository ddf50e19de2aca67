package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Namespace creates a namespace with a new name in every cluster and returns the name.
// At the test's end the namespace is deleted, without waiting until it is gone.
func (s *Sandbox) Namespace(tb testing.TB) string {
	tb.Helper()
	name := namespaceName(tb.Name())
	s.everywhere(tb, func(cluster string, api typedcorev1.NamespaceInterface) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := api.Create(tb.Context(), namespace, metav1.CreateOptions{}); err != nil {
			tb.Errorf("create namespace %s in %s: %v", name, cluster, err)
		}
	})
	if tb.Failed() {
		tb.FailNow()
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
		defer cancel()
		s.everywhere(tb, func(cluster string, api typedcorev1.NamespaceInterface) {
			err := api.Delete(ctx, name, metav1.DeleteOptions{})
			// A cluster of the test's own may be broken, and is removed anyway.
			if err != nil && s.shared && !apierrors.IsNotFound(err) {
				tb.Errorf("delete namespace %s in %s: %v", name, cluster, err)
			}
		})
	})
	return name
}

// everywhere calls f for all clusters concurrently.
func (s *Sandbox) everywhere(tb testing.TB, f func(cluster string, api typedcorev1.NamespaceInterface)) {
	tb.Helper()
	var calls sync.WaitGroup
	for _, cluster := range s.description.Clusters {
		api := s.Client(tb, cluster).CoreV1().Namespaces()
		calls.Go(func() { f(cluster, api) })
	}
	calls.Wait()
}

// CleanUp deletes at the test's end the ConfigMaps and Secrets with some labels in
// fedsync's own namespace, and the namespaces whose names begin with namespace and a dash.
func (s *Sandbox) CleanUp(tb testing.TB, namespace, labels string) {
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
		defer cancel()
		s.everywhere(tb, func(cluster string, namespaces typedcorev1.NamespaceInterface) {
			core, kept := s.Client(tb, cluster).CoreV1(), metav1.ListOptions{LabelSelector: labels}
			err := errors.Join(
				core.ConfigMaps(federation.SystemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, kept),
				core.Secrets(federation.SystemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, kept))
			all, listErr := namespaces.List(ctx, metav1.ListOptions{})
			err = errors.Join(err, listErr)
			for i := range all.Items {
				if name := all.Items[i].Name; strings.HasPrefix(name, namespace+"-") {
					if deleteErr := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(deleteErr) {
						err = errors.Join(err, deleteErr)
					}
				}
			}
			if err != nil && s.shared { // a cluster of the test's own is removed anyway
				tb.Errorf("clean up in %s: %v", cluster, err)
			}
		})
	})
}

// FreeNodePorts returns the first of n consecutive node ports that no Service uses in any
// cluster, above the band that API servers choose from last.
func (s *Sandbox) FreeNodePorts(tb testing.TB, n int) int {
	tb.Helper()
	taken := map[int]bool{}
	for _, cluster := range s.description.Clusters {
		services, err := s.Client(tb, cluster).CoreV1().Services("").List(tb.Context(), metav1.ListOptions{})
		if err != nil {
			tb.Fatalf("list the Services of %s: %v", cluster, err)
		}
		for i := range services.Items {
			for _, p := range services.Items[i].Spec.Ports {
				taken[int(p.NodePort)] = true
			}
		}
	}
	for {
		drawn, err := rand.Int(rand.Reader, big.NewInt(2500))
		if err != nil {
			tb.Fatal(err)
		}
		first, free := 30100+int(drawn.Int64()), true
		for port := first; port < first+n; port++ {
			free = free && !taken[port]
		}
		if free {
			return first
		}
	}
}

// namespaceName returns a unique namespace name in which the test's name is
// recognizable. It is short, because GLBC and its stand-in make names of a namespace,
// an Ingress and a UID, and truncate them to 62 characters, the UID first.
func namespaceName(test string) string {
	name := strings.TrimPrefix(notInNames.ReplaceAllString(strings.ToLower(test), ""), "test")
	name = name[:min(len(name), 13)]
	return "t" + name + "-" + strings.ToLower(rand.Text()[:6])
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)
