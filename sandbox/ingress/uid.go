package ingress

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The ConfigMap in kube-system whose UID determines which clusters share load balancers.
const (
	uidName        = "ingress-uid"
	uidKey         = "uid"
	providerUIDKey = "provider-uid"
)

// syncUID creates the ConfigMap if it is missing, with its last data or else a random
// UID. It accepts the changes of other clients.
func (s *StandIn) syncUID(ctx context.Context) error {
	found, err := s.uids.ConfigMaps(metav1.NamespaceSystem).Get(uidName)
	if err == nil {
		s.lastUID = found.Data
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	if s.lastUID[uidKey] == "" {
		s.lastUID = newUID(s.cluster)
	}
	_, err = s.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: uidName, Namespace: metav1.NamespaceSystem},
		Data:       s.lastUID,
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ConfigMap %s/%s: %w", metav1.NamespaceSystem, uidName, err)
	}
	return nil
}

// newUID returns the data of a new cluster's ConfigMap. The provider UID, which names the
// firewall rule, distinguishes clusters that share the other UID.
func newUID(cluster string) map[string]string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	provider := md5.Sum([]byte(cluster))
	return map[string]string{
		uidKey:         fmt.Sprintf("%x", random),
		providerUIDKey: fmt.Sprintf("%x", provider[:8]),
	}
}

// uid returns the UID in the names of new load balancers, or "" while there is none.
func (s *StandIn) uid() uid {
	found, err := s.uids.ConfigMaps(metav1.NamespaceSystem).Get(uidName)
	if err != nil {
		return "" // syncUID creates it, and uidChanged enqueues the Ingresses again
	}
	return effective(found.Data[uidKey])
}
