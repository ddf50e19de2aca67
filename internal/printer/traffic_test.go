package printer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestTheTableShowsWhichClustersTakeTraffic(t *testing.T) {
	ingress := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}
	shop := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "shop"}
	service := federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	objects := []federation.Observation{
		{Object: service, Health: federation.Healthy},
		{Object: ingress, Health: federation.Healthy, Addresses: []string{"203.0.113.10"}},
	}
	r := &status.Report{
		Federation: "web", State: status.Failure, Time: now,
		Clusters: []status.Cluster{
			{Name: "asia", Targeted: true, State: federation.ClusterReady, Objects: objects},
			{Name: "europe", Targeted: true, State: federation.ClusterReady, Objects: objects},
		},
		Balancers: []status.Balancer{
			{Balancer: federation.Balancer{
				Ingress: ingress, Address: "203.0.113.10", AddressName: "nginx", Complete: true,
				Clusters: []federation.BalancerCluster{
					{Cluster: "asia", State: federation.TrafficServing, Endpoints: 6, Healthy: 6},
					{Cluster: "europe", State: federation.TrafficUnhealthy, Endpoints: 6, Reason: untrusted.New("firewall?\x1b[2J")},
				},
			}},
			{Balancer: federation.Balancer{Ingress: shop, Refused: untrusted.New("it has no Service")}},
			{Balancer: federation.Balancer{Ingress: shop, Refused: untrusted.New("a plan is provisional"), Waits: true}},
		},
	}
	var b strings.Builder
	Report(&b, r)
	want := `web    failure

asia  Ready
NAME                                      HOSTS   ADDRESS        PORTS   READY     TRAFFIC       AGE
Service/default/nginx                     -       -              -       Healthy   -             -
networking.k8s.io/Ingress/default/nginx   *       203.0.113.10   -       Healthy   Serving 6/6   -

europe  Ready
NAME                                      HOSTS   ADDRESS        PORTS   READY     TRAFFIC         AGE
Service/default/nginx                     -       -              -       Healthy   -               -
networking.k8s.io/Ingress/default/nginx   *       203.0.113.10   -       Healthy   Unhealthy 0/6   -

LOAD BALANCERS
networking.k8s.io/Ingress/default/nginx  203.0.113.10 (nginx)  complete  1/2 clusters take traffic
  europe  Unhealthy  0/6 healthy  firewall? [2J
networking.k8s.io/Ingress/default/shop  no address yet  refused: it has no Service
networking.k8s.io/Ingress/default/shop  no address yet  waits: a plan is provisional
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("Report (-want +got):\n%s", diff)
	}
}
