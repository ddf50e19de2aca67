package member

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// ClusterUID returns the uid of the Namespace kube-system, which identifies a cluster:
// the Namespace is created with the cluster, cannot be deleted, and is part of a
// backup. An API server's address does not: a cluster may have several, and an address
// may later lead to another cluster.
func ClusterUID(ctx context.Context, client dynamic.Interface) (string, error) {
	u, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).
		Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get the uid of namespace %s: %w", metav1.NamespaceSystem, err)
	}
	if u.GetUID() == "" {
		return "", errors.New("namespace " + metav1.NamespaceSystem + " has no uid")
	}
	return string(u.GetUID()), nil
}
