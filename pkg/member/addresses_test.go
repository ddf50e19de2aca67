package member

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

const balancerAddress = "203.0.113.1"

var shownRef = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "web", Name: "nginx"}

func liveIngress(change func(*federation.Ingress)) federation.Ingress {
	i := federation.Ingress{Namespace: "web", Name: "nginx", Ours: true, ClassName: federation.ClassGlobal}
	change(&i)
	return i
}

func TestAddressesAreWrittenWhereTheyDifferAndNobodyElseWrites(t *testing.T) {
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	none := map[federation.ObjectRef]string{}
	for _, c := range []struct {
		name    string
		planned map[federation.ObjectRef]string
		change  func(*federation.Ingress)
		want    string // "due ADDRESS", "foreign ADDRESS" or nothing
	}{
		{"it shows none", planned, func(*federation.Ingress) {}, "due 203.0.113.1"},
		{"it shows it", planned, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{balancerAddress}, untrusted.New(federation.AddressManager)
		}, ""},
		{"somebody else wrote the same", planned, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{balancerAddress}, untrusted.New("kubectl")
		}, ""},
		{"it shows the one before", planned, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{"203.0.113.9"}, untrusted.New(federation.AddressManager)
		}, "due 203.0.113.1"},
		{"it shows one more", planned, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{balancerAddress, "203.0.113.9"}, untrusted.New(federation.AddressManager)
		}, "due 203.0.113.1"},
		{"another controller wrote it", planned, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{"203.0.113.9"}, untrusted.New("nginx-ingress-controller")
		}, "foreign 203.0.113.1"},
		{"another controller emptied it", planned, func(i *federation.Ingress) { i.StatusBy = untrusted.New("nginx-ingress-controller") }, "foreign 203.0.113.1"},
		{"Google's controller holds it", planned, func(i *federation.Ingress) {
			i.Google, i.GoogleHeld, i.Addresses, i.StatusBy = true, true, []string{"203.0.113.9"}, untrusted.New("glbc")
		}, ""},
		{"Google's controller has let go of it", planned, func(i *federation.Ingress) {
			i.Google, i.Addresses, i.StatusBy = true, []string{"203.0.113.9"}, untrusted.New("glbc")
		}, "due 203.0.113.1"},
		{"the class is not applied yet", planned, func(i *federation.Ingress) { i.ClassName = "gce" }, ""},
		{"it is not ours", planned, func(i *federation.Ingress) { i.Ours = false }, ""},
		{"it shows an address of ours that is gone", none, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{balancerAddress}, untrusted.New(federation.AddressManager)
		}, "due "},
		{"it is another's by now, and still shows ours", none, func(i *federation.Ingress) {
			i.ClassName, i.Addresses, i.StatusBy = "nginx", []string{balancerAddress}, untrusted.New(federation.AddressManager)
		}, "due "},
		{"it shows another's, and none of ours is planned", none, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{"203.0.113.9"}, untrusted.New("nginx")
		}, ""},
		{"nothing is known", nil, func(i *federation.Ingress) {
			i.Addresses, i.StatusBy = []string{balancerAddress}, untrusted.New(federation.AddressManager)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			due, foreign := showings(c.planned, []federation.Ingress{liveIngress(c.change)})
			var got []string
			for _, s := range due {
				got = append(got, "due "+s.address)
			}
			for _, s := range foreign {
				got = append(got, "foreign "+s.address)
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("showings = %q, want %q", got, c.want)
			}
		})
	}
}

// statusServer answers status requests with the configured code, and counts them.
type statusServer struct {
	requests []string
	code     int
}

func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.requests = append(s.requests, fmt.Sprintf("%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, body))
	w.Header().Set("Content-Type", "application/json")
	if s.code != 0 {
		w.WriteHeader(s.code)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": s.code,
			"reason": map[int]string{403: "Forbidden", 404: "NotFound", 500: "InternalError"}[s.code], "message": "no",
		})
		return
	}
	_, _ = w.Write(body)
}

// addressing is an addresser with a server. The test calls it, and so controls its
// time.
type addressing struct {
	*addresser
	server *statusServer
	now    time.Time
}

func newAddressing(t *testing.T) *addressing {
	t.Helper()
	s := &statusServer{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &addressing{newAddresser(client, "c1", func() bool { return true }, 10*time.Second, zap.NewNop()), s, time.Now()}
}

// turn does what is due, and returns the number of requests.
func (a *addressing) turn(planned map[federation.ObjectRef]string, live ...federation.Ingress) int {
	before := len(a.server.requests)
	send, _ := a.due(a.now, planned, live)
	if len(send) > 0 {
		a.send(context.Background(), send)
	}
	return len(a.server.requests) - before
}

func TestAnAddressIsWrittenWithOneRequest(t *testing.T) {
	a := newAddressing(t)
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	bare := liveIngress(func(*federation.Ingress) {})
	shown := liveIngress(func(i *federation.Ingress) {
		i.Addresses, i.StatusBy = []string{balancerAddress}, untrusted.New(federation.AddressManager)
	})
	for _, step := range []struct {
		name    string
		planned map[federation.ObjectRef]string
		live    federation.Ingress
		want    int
	}{
		{"written", planned, bare, 1},
		{"not seen yet", planned, bare, 0},
		{"seen", planned, shown, 0},
		{"idle", planned, shown, 0},
		{"wiped by somebody", planned, bare, 1},
		{"seen again", planned, shown, 0},
		{"nothing is known", nil, shown, 0},
		{"taken out of the plan", map[federation.ObjectRef]string{}, shown, 1},
		{"not seen to be gone yet", map[federation.ObjectRef]string{}, shown, 0},
		{"gone", map[federation.ObjectRef]string{}, bare, 0},
	} {
		if got := a.turn(step.planned, step.live); got != step.want {
			t.Errorf("%s: %d requests, want %d", step.name, got, step.want)
		}
	}
	const path = "PATCH /apis/networking.k8s.io/v1/namespaces/web/ingresses/nginx/status?fieldManager=fedsync-address&force=true "
	const head = `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"nginx","namespace":"web"},"status":{"loadBalancer":`
	want := []string{
		path + head + `{"ingress":[{"ip":"203.0.113.1"}]}}}`,
		path + head + `{"ingress":[{"ip":"203.0.113.1"}]}}}`,
		path + head + `{}}}`,
	}
	for i := range a.server.requests {
		a.server.requests[i] = strings.ReplaceAll(a.server.requests[i], "\n", "")
	}
	if diff := cmp.Diff(want, a.server.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if f := a.findings(); len(f) != 0 {
		t.Errorf("findings %v", f)
	}
}

func TestARefusedAddressIsAFindingAndTriedAgainWithPauses(t *testing.T) {
	a := newAddressing(t)
	a.server.code = http.StatusForbidden
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress, {Group: "networking.k8s.io", Kind: "Ingress", Namespace: "web", Name: "other"}: balancerAddress}
	live := []federation.Ingress{
		liveIngress(func(*federation.Ingress) {}),
		liveIngress(func(i *federation.Ingress) { i.Name = "other" }),
	}
	if got := a.turn(planned, live...); got != 1 {
		t.Fatalf("%d requests, want one for all that it refuses", got)
	}
	findings := a.findings()
	if len(findings) != 1 || findings[0].ID != "D07" || findings[0].Object != shownRef || !strings.Contains(findings[0].Remedy.String(), "patch on ingresses/status") {
		t.Fatalf("findings %v, want one that names the permission", findings)
	}
	for range 20 {
		if got := a.turn(planned, live...); got != 0 {
			t.Fatalf("%d requests at once again", got)
		}
	}
	_, next := a.due(a.now, planned, live)
	if next.IsZero() || next.Before(a.now) {
		t.Errorf("tried again at %v", next)
	}
	a.server.code = 0
	a.retry()
	if got := a.turn(planned, live...); got != 2 || len(a.findings()) != 0 {
		t.Errorf("when it is allowed: %d requests and %v", got, a.findings())
	}
}

func TestAnIngressThatIsGoneIsNoFailure(t *testing.T) {
	a := newAddressing(t)
	a.server.code = http.StatusNotFound
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	bare := liveIngress(func(*federation.Ingress) {})
	if got := a.turn(planned, bare); got != 1 || len(a.findings()) != 0 {
		t.Errorf("%d requests, findings %v", got, a.findings())
	}
	a.server.code = 0
	again := bare
	again.Created = bare.Created.Add(time.Second)
	if got := a.turn(planned, again); got != 1 {
		t.Errorf("made again, it is written with %d requests", got)
	}
}

func TestAStatusIsTakenFromAnotherWriterOnlyOnce(t *testing.T) {
	a := newAddressing(t)
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	theirs := liveIngress(func(i *federation.Ingress) {
		i.Google, i.Addresses, i.StatusBy = true, []string{"203.0.113.9"}, untrusted.New("glbc")
	})
	ours := liveIngress(func(i *federation.Ingress) {
		i.Google, i.Addresses, i.StatusBy = true, []string{balancerAddress}, untrusted.New(federation.AddressManager)
	})
	for i, step := range []struct {
		live federation.Ingress
		want int
	}{{theirs, 1}, {ours, 0}, {theirs, 0}, {theirs, 0}, {ours, 0}} {
		if got := a.turn(planned, step.live); got != step.want {
			t.Errorf("turn %d: %d requests, want %d", i, got, step.want)
		}
		if f := a.findings(); (i == 2 || i == 3) != (len(f) == 1) {
			t.Errorf("turn %d: findings %v", i, f)
		}
	}
}

func TestNothingIsWrittenWhileAnotherInstanceMay(t *testing.T) {
	a := newAddressing(t)
	may := false
	a.mayWrite = func() bool { return may }
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	bare := liveIngress(func(*federation.Ingress) {})
	if got := a.turn(planned, bare); got != 0 {
		t.Errorf("%d requests without the claim", got)
	}
	may = true
	if got := a.turn(planned, bare); got != 1 {
		t.Errorf("%d requests with it", got)
	}
}

// A write that the watch never shows is repeated eventually.
func TestAWriteThatDoesNotShowIsRepeatedLater(t *testing.T) {
	a := newAddressing(t)
	planned := map[federation.ObjectRef]string{shownRef: balancerAddress}
	bare := liveIngress(func(*federation.Ingress) {})
	a.turn(planned, bare)
	a.now = a.now.Add(unseenMax / 2)
	if got := a.turn(planned, bare); got != 0 {
		t.Errorf("%d requests before", got)
	}
	a.now = a.now.Add(unseenMax)
	if got := a.turn(planned, bare); got != 1 {
		t.Errorf("%d requests after %v", got, unseenMax)
	}
}
