package daemon

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
)

// The UIDs are those of whole clusters, so the clusters are the test's own.
func sharedUIDs(t *testing.T, s *lab.Sandbox) {
	const shared, other, later = "0123456789abcdef", "fedcba9876543210", "aaaabbbbccccdddd"
	all := s.Clusters()
	p := newPatient(t, s, func(p *patient) {
		p.files["fedsync.yaml"] += "  gcp: {project: sandbox, loadBalancer: SharedUID}\n"
		p.setUID(shared, all...)
	})
	uid := federation.ObjectRef{Kind: "ConfigMap", Namespace: "kube-system", Name: "ingress-uid"}
	web := p.ref("Ingress", "web")
	built := func(cluster, now string) symptom {
		return failing("D15", cluster, web, fmt.Sprintf("in %s was built with UID %q, but the cluster now has %q", cluster, shared, now), "delete ingress web")
	}
	for _, f := range []fault{
		{
			name:  "a UID that differs",
			cause: func(p *patient) { p.setUID(other, all[1]) },
			want: []symptom{
				failing("D13", "", uid, fmt.Sprintf("%q in %s; %q in %s, %s", other, all[1], shared, all[0], all[2]),
					"--context="+all[1]+" -n kube-system patch configmap ingress-uid"),
				built(all[1], other),
			},
			mend: func(p *patient) { p.setUID(shared, all[1]) },
		},
		{
			name:  "a UID that is missing",
			cause: func(p *patient) { p.setUID("", all[1]) },
			want:  []symptom{failing("D13", all[1], uid, "holds no uid", "run the controller")},
			mend:  func(p *patient) { p.setUID(shared, all[1]) },
		},
		{
			name:  "Ingresses that are older than the UID",
			cause: func(p *patient) { p.setUID(later, all...) },
			want:  []symptom{built(all[0], later), built(all[1], later), built(all[2], later)},
			mend: func(p *patient) {
				for _, cluster := range all {
					ingresses := s.Client(t, cluster).NetworkingV1().Ingresses(p.namespace)
					if err := ingresses.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
						p.world.t.Fatal(err)
					}
				}
			},
		},
	} {
		p.try(t, f)
	}
}

// setUID gives Google's controllers a UID, as an administrator would.
func (w *world) setUID(uid string, clusters ...string) {
	w.t.Helper()
	for _, cluster := range clusters {
		maps := w.sandbox.Client(w.t, cluster).CoreV1().ConfigMaps("kube-system")
		eventually(w.t, "the controller's ConfigMap is there", func() string {
			_, err := maps.Patch(w.t.Context(), "ingress-uid", types.MergePatchType, fmt.Appendf(nil, `{"data": {"uid": %q}}`, uid), metav1.PatchOptions{})
			if err != nil {
				return err.Error()
			}
			return ""
		})
	}
}
