package balancer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// These names exist in users' projects: if a wanted name here changes, new load balancers
// are created and the former ones are left behind.
func TestNamesNeverChange(t *testing.T) {
	o := gcp.Owner{Federation: "web", Source: "0123456789abcdef"}
	for _, test := range []struct{ got, want string }{
		{gcp.ResourceName(o, gcp.KindURLMap, "default-nginx", "networking.k8s.io/Ingress/default/nginx", ""), "fedsync-6d34a734-default-nginx-62d460da"},
		{gcp.ResourceName(o, gcp.KindService, "default-nginx-80", "default/nginx:80"), "fedsync-6d34a734-default-nginx-80-606595ed"},
		{gcp.FirewallName(o, "projects/shop/global/networks/default", 0), "fedsync-web-21dee986"},
		{gcp.FirewallName(o, "projects/shop/global/networks/default", 1), "fedsync-web-26714d83"},
	} {
		if test.got != test.want {
			t.Errorf("name = %s, want %s", test.got, test.want)
		}
	}
}

func TestNamesOfALoadBalancerNeverChange(t *testing.T) {
	s := gcptest.NewScene(1)
	var got []string
	for _, id := range gcp.SortedIDs(s.Build().Resources) {
		got = append(got, id.String())
	}
	want := []string{
		"address fedsync-6d34a734-default-nginx-dc885615",
		"firewall rule fedsync-web-21dee986",
		"health check fedsync-6d34a734-default-nginx-80-f465f75c",
		"endpoint group r-c1-a/fedsync-6d34a734-nginx-80-c1-e99a8a3f",
		"endpoint group r-c1-b/fedsync-6d34a734-nginx-80-c1-fa1e1e50",
		"backend service fedsync-6d34a734-default-nginx-80-606595ed",
		"URL map fedsync-6d34a734-default-nginx-62d460da",
		"HTTP proxy fedsync-6d34a734-default-nginx-906b96fe",
		"forwarding rule fedsync-6d34a734-default-nginx-80-2d04059c",
	}
	if !slices.Equal(got, want) {
		t.Errorf("names:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNamesAreValid(t *testing.T) {
	long := strings.Repeat("Long_Name.", 20)
	for _, readable := range []string{"", "-", "a", "--a--", "nginx", long, "Ünï-çødé", "ends-" + strings.Repeat("x", 30) + "-y", strings.Repeat("a-", 40), "0", "_"} {
		for _, federation := range []string{"web", long, "0", ""} {
			o := gcp.Owner{Federation: federation, Source: "s"}
			for _, name := range []string{gcp.ResourceName(o, gcp.KindGroup, readable, "x"), gcp.FirewallName(o, readable, 0)} {
				if !gcp.ValidName.MatchString(name) || strings.Contains(name, "--") {
					t.Errorf("name %q of %q in %q", name, readable, federation)
				}
			}
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	o := gcp.Owner{Federation: "web", Source: "s"}
	seen := map[string]string{}
	for what, name := range map[string]string{
		"itself":         gcp.ResourceName(o, gcp.KindService, "a-b", "a/b"),
		"another kind":   gcp.ResourceName(o, gcp.KindHealthCheck, "a-b", "a/b"),
		"identity":       gcp.ResourceName(o, gcp.KindService, "a-b", "a-b"),
		"parts":          gcp.ResourceName(o, gcp.KindService, "a-b", "a", "b"),
		"parts, shifted": gcp.ResourceName(o, gcp.KindService, "a-b", "ab", ""),
		"federation":     gcp.ResourceName(gcp.Owner{Federation: "web2", Source: "s"}, gcp.KindService, "a-b", "a/b"),
		"source":         gcp.ResourceName(gcp.Owner{Federation: "web", Source: "t"}, gcp.KindService, "a-b", "a/b"),
	} {
		if other, dup := seen[name]; dup {
			t.Errorf("%s and %s are both %s", what, other, name)
		}
		seen[name] = what
	}
}
