package schedule

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Limited is an input of one cluster, which is Ready, and the objects of its apps.
func limited(t *testing.T, apps map[string][]map[string]any) Input {
	t.Helper()
	in := Input{
		Federation: &federation.Federation{Clusters: []federation.Cluster{{Name: "c"}}},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{
			"c": {State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true},
		}},
	}
	for app, contents := range apps {
		in.Federation.Apps = append(in.Federation.Apps, federation.App{Name: app, Path: app, Prune: true})
		b := federation.Bundle{Cluster: "c", App: app}
		for _, content := range contents {
			o, err := federation.NewObject(content, app+".yaml")
			if err != nil {
				t.Fatal(err)
			}
			b.Objects = append(b.Objects, o)
		}
		in.Bundles = append(in.Bundles, b)
	}
	return in
}

func serviceOf(name string, ports, pin int) map[string]any {
	list := make([]any, ports)
	for i := range list {
		entry := map[string]any{"port": int64(i + 1), "name": fmt.Sprint("p", i)}
		if pin != 0 {
			entry["nodePort"] = int64(pin)
		}
		list[i] = entry
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": "default"},
		"spec": map[string]any{"type": "NodePort", "ports": list},
	}
}

func selecting(name, selector string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": "default", "annotations": map[string]any{annotationSelector: selector}},
	}
}

func TestSelectorsOfTooManyRequirementsAreRefused(t *testing.T) {
	requirement := func(values int) string {
		all, _ := json.Marshal(make([]string, values))
		return fmt.Sprintf(`{"key": "a", "operator": "notin", "values": %s}`, all)
	}
	many := "[" + strings.Repeat(requirement(1)+",", 5999) + requirement(1) + "]"
	for name, c := range map[string]struct{ selector, want string }{
		"requirements": {many[:200_010] + "]", "is not a list of requirements"},
		"too many":     {"[" + strings.Repeat(requirement(1)+",", 100) + requirement(1) + "]", "101 requirements with 101 values; at most 100 and 1,000 are allowed"},
		"values":       {"[" + requirement(1001) + "]", "1 requirements with 1,001 values"},
		"bytes":        {many, "more than the 262,144 that an API server accepts"},
	} {
		plan := New().Plan(limited(t, map[string][]map[string]any{"a": {selecting("x", c.selector)}}))
		if len(plan.Findings) != 1 || !strings.Contains(plan.Findings[0].Message.String(), c.want) {
			t.Errorf("%s: findings = %.500v, want %q", name, plan.Findings, c.want)
			continue
		}
		if n := len(plan.Findings[0].Message.String()); n > limit.MessageBytes {
			t.Errorf("%s: the message has %d bytes", name, n)
		}
		if got := plan.Clusters[0].Apps[0].Withheld; len(got) != 1 || len(plan.Clusters[0].Apps[0].Objects) > 0 {
			t.Errorf("%s: withheld = %v, want the object", name, got)
		}
	}
}

func TestServicesOfTooManyPortsAreLeftAsTheyAre(t *testing.T) {
	in := limited(t, map[string][]map[string]any{
		"big":   {serviceOf("big", limit.ServicePorts+1, 0)},
		"small": {serviceOf("small", 2, 0)},
	})
	plan := New().Plan(in)
	if len(plan.Ports) != 2 {
		t.Errorf("%d ports are decided, want the 2 of the small Service", len(plan.Ports))
	}
	if want := "the Service has 1,001 ports; at most 1,000 can get node ports"; len(plan.Findings) != 1 || !strings.Contains(plan.Findings[0].Message.String(), want) {
		t.Errorf("findings = %v, want %q", plan.Findings, want)
	}
}

// An app with more ports than there are numbers must not take those of another app.
func TestAppOfTooManyPortsIsLeftAsItIs(t *testing.T) {
	var hog []map[string]any
	for i := range 70 {
		hog = append(hog, serviceOf(fmt.Sprintf("a%02d", i), limit.ServicePorts, 0))
	}
	in := limited(t, map[string][]map[string]any{"hog": hog, "web": {serviceOf("web", 3, 0)}})
	plan := New().Plan(in)
	for _, d := range plan.Ports {
		if d.App != "web" || d.NodePort == 0 {
			t.Errorf("%s of app %s has node port %d; want the three of web, and no others", d.Service, d.App, d.NodePort)
		}
	}
	if want := "the Services of app hog have 70,000 ports; node ports can be decided for at most 65,536 in 1 clusters"; len(plan.Findings) != 1 || plan.Findings[0].Message.String() != want {
		t.Errorf("findings = %v, want %q", plan.Findings, want)
	}
	for _, app := range plan.Clusters[0].Apps {
		if want := map[string]int{"hog": 70}[app.App]; len(app.Withheld) != want {
			t.Errorf("app %s: %d Services are withheld, want %d", app.App, len(app.Withheld), want)
		}
	}
}

func TestPortsThatClashAllAreToldInFewWords(t *testing.T) {
	var services []map[string]any
	for i := range 20 {
		services = append(services, serviceOf(fmt.Sprintf("a%02d", i), limit.ServicePorts, 30000))
	}
	plan := New().Plan(limited(t, map[string][]map[string]any{"hog": services}))
	if len(plan.Findings) > limit.Findings+1 {
		t.Errorf("%d findings, want at most %d", len(plan.Findings), limit.Findings+1)
	}
	for _, f := range federation.ShortFindings(plan.Findings) {
		if len(f.Message.String()) > 2*limit.MessageBytes {
			t.Errorf("a message has %d bytes", len(f.Message.String()))
		}
	}
	if got := len(plan.Clusters[0].Apps[0].Withheld); got != len(services) {
		t.Errorf("%d Services are withheld, want all %d", got, len(services))
	}
}

func TestProtocolsThatAreNoneAreTheAPIServersToRefuse(t *testing.T) {
	s := serviceOf("a", 1, 0)
	s["spec"].(map[string]any)["ports"].([]any)[0].(map[string]any)["protocol"] = "HTTP"
	plan := New().Plan(limited(t, map[string][]map[string]any{"a": {s}}))
	if len(plan.Ports) > 0 || len(plan.Clusters[0].Apps[0].Objects) != 1 {
		t.Errorf("ports %v and objects %v, want the object as it is", plan.Ports, plan.Clusters[0].Apps[0].Objects)
	}
}
