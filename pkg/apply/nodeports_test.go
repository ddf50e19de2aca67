package apply

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

func serviceWith(name string, nodePorts ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: NAMESPACE}\nspec:\n  type: NodePort\n  ports:\n", name)
	for i, p := range nodePorts {
		fmt.Fprintf(&b, "  - {name: p%d, port: %d, nodePort: %d}\n", i, 80+i, p)
	}
	return b.String()
}

func join(manifests ...string) string { return strings.Join(manifests, "\n---\n") }

func (f *fixture) nodePorts(name string) []int64 {
	f.Helper()
	ports, _, _ := unstructured.NestedSlice(f.get(object.Services, name).Object, "spec", "ports")
	var out []int64
	for _, p := range ports {
		n, _, _ := unstructured.NestedInt64(p.(map[string]any), "nodePort")
		out = append(out, n)
	}
	return out
}

// freePorts returns ports that are free in the shared cluster now.
func freePorts(t *testing.T, f *fixture, n int) []int {
	t.Helper()
	list, err := f.admin.Resource(object.Services).List(t.Context(), listAll)
	if err != nil {
		t.Fatal(err)
	}
	used := map[int32]bool{}
	for i := range list.Items {
		for _, p := range object.Ports(&list.Items[i]) {
			used[p.Number] = true
		}
	}
	var out []int
	for p := 32000 - len(f.namespace); len(out) < n; p-- {
		if !used[int32(p)] {
			out = append(out, p)
		}
	}
	return out
}

func TestNodePortsAreHandedOver(t *testing.T) {
	for _, c := range []struct {
		name           string
		before, after  func(p []int) []string
		wantA, wantB   func(p []int) []int // ports of a and b after; nil for a Service that is gone
		wantOperations int                 // requests on Services, at most
	}{
		{
			name:           "a new Service takes the port of one that leaves",
			before:         func(p []int) []string { return []string{serviceWith("b", p[0])} },
			after:          func(p []int) []string { return []string{serviceWith("a", p[0])} },
			wantA:          func(p []int) []int { return p[:1] },
			wantB:          func([]int) []int { return nil },
			wantOperations: 4,
		},
		{
			name:           "one takes what another gives up",
			before:         func(p []int) []string { return []string{serviceWith("a", p[0]), serviceWith("b", p[1])} },
			after:          func(p []int) []string { return []string{serviceWith("a", p[1]), serviceWith("b", p[2])} },
			wantA:          func(p []int) []int { return p[1:2] },
			wantB:          func(p []int) []int { return p[2:3] },
			wantOperations: 2,
		},
		{
			name:           "two swap",
			before:         func(p []int) []string { return []string{serviceWith("a", p[0], p[2]), serviceWith("b", p[1])} },
			after:          func(p []int) []string { return []string{serviceWith("a", p[1], p[2]), serviceWith("b", p[0])} },
			wantA:          func(p []int) []int { return []int{p[1], p[2]} },
			wantB:          func(p []int) []int { return p[:1] },
			wantOperations: 3,
		},
		{
			name:           "one swaps within itself",
			before:         func(p []int) []string { return []string{serviceWith("a", p[0], p[1]), serviceWith("b", p[2])} },
			after:          func(p []int) []string { return []string{serviceWith("a", p[1], p[0]), serviceWith("b", p[2])} },
			wantA:          func(p []int) []int { return []int{p[1], p[0]} },
			wantB:          func(p []int) []int { return p[2:3] },
			wantOperations: 1,
		},
		{
			name: "three exchange ports in a circle, and a fourth follows",
			before: func(p []int) []string {
				return []string{serviceWith("a", p[0]), serviceWith("b", p[1]), serviceWith("c", p[2]), serviceWith("d", p[3])}
			},
			after: func(p []int) []string {
				return []string{serviceWith("a", p[1]), serviceWith("b", p[2]), serviceWith("c", p[0], p[4]), serviceWith("d", p[5])}
			},
			wantA:          func(p []int) []int { return p[1:2] },
			wantB:          func(p []int) []int { return p[2:3] },
			wantOperations: 5,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ports := freePorts(t, f, 6)
			f.mustSync(f.app("web", join(c.before(ports)...)))
			f.upToDate()
			r := f.mustSync(f.app("web", join(c.after(ports)...)))
			for name, want := range map[string][]int{"a": c.wantA(ports), "b": c.wantB(ports)} {
				if want == nil {
					if f.exists(object.Services, name) {
						t.Errorf("Service %s is still there", name)
					}
					continue
				}
				if got := fmt.Sprint(f.nodePorts(name)); got != fmt.Sprint(want) {
					t.Errorf("node ports of %s = %s, want %v", name, got, want)
				}
			}
			if n := len(f.counter.requests()); n > c.wantOperations {
				t.Errorf("requests = %q, want at most %d", f.counter.requests(), c.wantOperations)
			}
			if slices.ContainsFunc(r.Changes, func(c federation.Change) bool { return c.Err != nil }) {
				t.Errorf("changes = %v, want no failure", describeChanges(r.Changes))
			}
			f.upToDate()
			f.mustSync(f.app("web", join(c.after(ports)...)))
			f.wantRequests()
		})
	}
}

func TestAPortThatIsTakenIsAClashAndNothingIsDeleted(t *testing.T) {
	f := newFixture(t)
	port := freePorts(t, f, 1)[0]
	f.create("kubectl", serviceWith("legacy", port))
	f.start("one")
	r := f.sync(f.app("web", serviceWith("a", port)))
	got := f.wantFinding(r.Findings, "D11b", fmt.Sprintf("nodePort %d is held by Service/%s/legacy", port, f.namespace))
	if got.Severity != federation.SeverityError {
		t.Errorf("severity = %s, want E", got.Severity)
	}
	// Also as an update.
	f.mustSync(f.app("web", strings.Replace(serviceWith("a", 1), ", nodePort: 1", "", 1)))
	uid := f.get(object.Services, "a").GetUID()
	r = f.sync(f.app("web", serviceWith("a", port)))
	f.wantFinding(r.Findings, "D11b", "is held by")
	if f.get(object.Services, "a").GetUID() != uid {
		t.Error("the Service was recreated")
	}
	// For a port out of range, the remedy names the setting.
	r = f.sync(f.app("web", serviceWith("a", 20000)))
	if got := f.wantFinding(r.Findings, "D10", "20000"); !strings.Contains(got.Remedy.String(), "nodePorts.range") {
		t.Errorf("remedy = %q, want it to name nodePorts.range", got.Remedy)
	}
}

// An API server that ends while it changes a node port may leave it allocated although
// no Service has it.
func TestAPortThatNoServiceHasIsAwaited(t *testing.T) {
	f := newFixture(t)
	port := freePorts(t, f, 1)[0]
	f.start("one")
	f.counter.failWith(func(r *http.Request) error {
		if r.Method != http.MethodPatch && r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/services") {
			return nil
		}
		return apierrors.NewInvalid(object.ServiceKind, "a", field.ErrorList{
			field.Invalid(field.NewPath("spec", "ports").Index(0).Child("nodePort"), port, refusal.PortAllocated),
		})
	})
	r := f.sync(f.app("web", serviceWith("a", port)))
	got := f.wantFinding(r.Findings, "D11b", fmt.Sprintf("nodePort %d is allocated although no Service has it", port))
	if got.Severity != federation.SeverityWarning || strings.Contains(got.Remedy.String(), "another nodePort") {
		t.Errorf("severity %s, remedy %q; want a warning that asks for nothing", got.Severity, got.Remedy)
	}
	if f.exists(object.Services, "a") {
		t.Error("the Service is there")
	}
	if f.now().Final {
		t.Error("nothing more is expected, although the API server frees the port")
	}

	// A Service's health check port is held, too.
	f.create("kubectl", fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: NAMESPACE}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: %d, ports: [{port: 80}]}`, port))
	r = f.sync(f.app("web", serviceWith("a", port), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: NAMESPACE}"))
	f.wantFinding(r.Findings, "D11b", fmt.Sprintf("nodePort %d is held by Service/%s/legacy", port, f.namespace))
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "legacy", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	// The repair loop has freed it.
	f.counter.failWith(nil)
	f.mustSync(f.app("web", serviceWith("a", port)))
	if got := fmt.Sprint(f.nodePorts("a")); got != fmt.Sprint([]int{port}) {
		t.Errorf("node ports of a = %s, want %d", got, port)
	}
}
