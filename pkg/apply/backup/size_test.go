package backup

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Kept objects take little room in a cluster, and much when they are unpacked. A daemon
// looks for expired ones in all its clusters at the same time.
func TestKeptObjectsExpireOneByOne(t *testing.T) {
	const number, size = 80, 1 << 20
	store := objectstore.New(objectstore.Options{Name: "asia", Seed: 1, NoWorkloads: true})
	client, err := dynamic.NewForConfig(store.Config())
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Client: &request.Client{Dynamic: client, Timeout: 10 * time.Second, Federation: "web"}}
	if _, err := s.Client.CreateNamespace(t.Context(), federation.SystemNamespace); err != nil {
		t.Fatal(err)
	}
	keptSince := func(name string, expires time.Time) {
		t.Helper()
		ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: "default", Name: name}
		data := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":"default"},"data":{"v":%q}}`, name, strings.Repeat("x", size))
		proof := inventory.Proof{Federation: "web", Secret: "kept-" + name, Object: ref, Digest: inventory.KeptDigest(ref, data), Expires: expires}
		secret, err := Pack(proof, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.createOnce(t.Context(), object.Secrets, secret); err != nil {
			t.Fatal(err)
		}
		if _, err := s.createOnce(t.Context(), object.ConfigMaps, proof.ConfigMap()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range number {
		keptSince(fmt.Sprintf("a%03d", i), time.Now().Add(time.Hour))
	}
	keptSince("b", time.Now().Add(-time.Hour))
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := heap(), uint64(0)
	store.SetFaults(func(*objectstore.Request) objectstore.Action {
		most = max(most, heap())
		return objectstore.Action{}
	})
	if err := s.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := int64(most) - int64(before); held > number*size/3 {
		t.Errorf("%d MiB are held at once of %d objects of 1 MiB", held>>20, number)
	}
	store.SetFaults()
	list, err := client.Resource(object.Secrets).Namespace(federation.SystemNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != number {
		t.Errorf("%d Secrets are left, %v, want %d", len(list.Items), err, number)
	}
}
