package page

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestRulesNameTheEndpointsOfTheirOwnNamespace(t *testing.T) {
	c := status.Cluster{
		Objects: []federation.Observation{
			{Object: federation.ObjectRef{Kind: "Service", Namespace: "shop", Name: "web"}},
			{
				Object: federation.ObjectRef{Kind: "Ingress", Namespace: "shop", Name: "web"},
				TLS:    []string{"tls-secret"},
				Rules: []federation.Rule{
					{Service: "web", Port: "80"},
					{Host: "shop.example.com", Path: "/pay", Service: "pay", Port: "http"},
					{Host: "shop.example.com", Path: "/gone", Service: "gone", Port: "80"},
				},
			},
		},
		Endpoints: []federation.Endpoints{
			{Namespace: "default", Service: "web", Ready: 1, Addresses: []string{"192.0.2.9:80"}},
			{Namespace: "shop", Service: "pay", NotReady: 2},
			{Namespace: "shop", Service: "web", Ready: 3, Addresses: []string{"10.152.1.3:8080", "10.152.2.4:8080"}},
		},
	}
	want := []ingressRow{{
		Object: "Ingress/shop/web", TLS: []string{"tls-secret"},
		Rules: []ruleRow{
			{Host: "*", Path: "*", Backend: "web:80", Addresses: "10.152.1.3:8080, 10.152.2.4:8080 and 1 more"},
			{Host: "shop.example.com", Path: "/pay", Backend: "pay:http", State: badge{"warn", "triangle", "None ready"}},
			{Host: "shop.example.com", Path: "/gone", Backend: "gone:80"},
		},
	}}
	got, left := ingressRows(c)
	if diff := cmp.Diff(want, got); diff != "" || left != 0 {
		t.Errorf("%d Ingresses are left out, want 0; -want +got:\n%s", left, diff)
	}
}

func TestIngressesWithMoreRulesThanFitAreCounted(t *testing.T) {
	var c status.Cluster
	for i := range 10 {
		o := federation.Observation{Object: federation.ObjectRef{Kind: "Ingress", Name: fmt.Sprint(i)}}
		o.Rules = make([]federation.Rule, 50)
		c.Objects = append(c.Objects, o)
	}
	rows, left := ingressRows(c)
	if len(rows) != maxRules/50 || left != 10-maxRules/50 {
		t.Errorf("%d Ingresses are shown and %d left out, want %d and %d", len(rows), left, maxRules/50, 10-maxRules/50)
	}
}
