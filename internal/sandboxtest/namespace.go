package sandboxtest

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Namespace creates a namespace of a new name in every cluster and returns the
// name. At the test's end it is deleted, without waiting until it is gone.
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
			// A cluster of the test's own may be out of order, and goes anyway.
			if err != nil && s.shared && !apierrors.IsNotFound(err) {
				tb.Errorf("delete namespace %s in %s: %v", name, cluster, err)
			}
		})
	})
	return name
}

// everywhere calls f for all clusters at the same time.
func (s *Sandbox) everywhere(tb testing.TB, f func(cluster string, api typedcorev1.NamespaceInterface)) {
	tb.Helper()
	var calls sync.WaitGroup
	for _, cluster := range s.description.Clusters {
		api := s.Client(tb, cluster).CoreV1().Namespaces()
		calls.Go(func() { f(cluster, api) })
	}
	calls.Wait()
}

// namespaceName makes the name of a test recognizable in a namespace's, and
// unlike any other. It is short: GLBC, and its stand-in, cut the names that they
// make of a namespace, an Ingress and a UID after 62 characters, UID first.
func namespaceName(test string) string {
	name := strings.TrimPrefix(notInNames.ReplaceAllString(strings.ToLower(test), ""), "test")
	name = name[:min(len(name), 13)]
	return "t" + name + "-" + strings.ToLower(rand.Text()[:6])
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)
