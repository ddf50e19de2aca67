package ingress

import (
	"fmt"
	"strings"
	"testing"
)

func TestNamesAreGLBCs(t *testing.T) {
	n := newNames("default", "myingress", "ff1107f83ed600c0")
	for _, c := range []struct{ got, want string }{
		{n.urlMap(), "k8s-um-default-myingress--ff1107f83ed600c0"},
		{n.targetProxy(), "k8s-tp-default-myingress--ff1107f83ed600c0"},
		{n.httpsTargetProxy(), "k8s-tps-default-myingress--ff1107f83ed600c0"},
		{n.forwardingRule(), "k8s-fw-default-myingress--ff1107f83ed600c0"},
		{n.httpsForwardingRule(), "k8s-fws-default-myingress--ff1107f83ed600c0"},
		{n.backend(30301), "k8s-be-30301--ff1107f83ed600c0"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestLongNamesAreCutWithTheirUID(t *testing.T) {
	n := newNames("a-rather-long-namespace", strings.Repeat("x", 60), "ff1107f83ed600c0")
	if got := n.urlMap(); len(got) != 63 || strings.Contains(got, "--") {
		t.Errorf("the url map is %s (%d), want 63 bytes without a UID", got, len(got))
	}
}

func TestEffectiveUIDFollowsTheLastDashes(t *testing.T) {
	for value, want := range map[string]uid{"": "", "abc": "abc", "cluster--abc": "abc", "a--b--c": "c"} {
		if got := effective(value); got != want {
			t.Errorf("effective(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestStaticAddressesAreTheSameInEverySandbox(t *testing.T) {
	a, err := NewAddresses().Static("web-ip")
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewAddresses().Static("web-ip")
	if err != nil {
		t.Fatal(err)
	}
	if a != b || !staticRange.Contains(a) {
		t.Errorf("web-ip is %s and %s, want one address of %s", a, b, staticRange)
	}
}

func TestNoTwoNamesShareAnAddress(t *testing.T) {
	all := NewAddresses()
	seen := map[string]string{}
	for i := range 254 {
		name := fmt.Sprintf("name-%d", i)
		ip, err := all.Static(name)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[ip.String()]; ok {
			t.Fatalf("%s and %s both have %s", name, other, ip)
		}
		if !staticRange.Contains(ip) || ip == staticRange.Addr() || strings.HasSuffix(ip.String(), ".255") {
			t.Fatalf("%s has %s", name, ip)
		}
		seen[ip.String()] = name
	}
	if ip, err := all.Static("one more"); err == nil {
		t.Errorf("a full range returned %s", ip)
	}
}

func TestAddressOfAnIngressIsFreeAgainWhenItIsGone(t *testing.T) {
	all := NewAddresses()
	first, err := all.Ephemeral("gce-asia-east1a", "default/web")
	if err != nil {
		t.Fatal(err)
	}
	all.Release("gce-asia-east1a", "default/web")
	if all.occupied[first] {
		t.Errorf("%s is still taken", first)
	}
	all.Release("gce-asia-east1a", "default/never-seen")
}
