package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/sandbox/control"
	"github.com/fedsync/fedsync/sandbox/nodes"
)

// engine is a client of the sandbox's Compute Engine.
type engine struct {
	t       *testing.T
	api     *compute.Service
	project string
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	api, err := compute.NewService(t.Context(), option.WithEndpoint(running.Description.GCP.Endpoint), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	return &engine{t: t, api: api, project: running.Description.GCP.Project}
}

// done waits for an operation.
func (e *engine) done(op *compute.Operation, err error) {
	e.t.Helper()
	for err == nil && op.Status != "DONE" {
		if op.Zone != "" {
			op, err = e.api.ZoneOperations.Wait(e.project, op.Zone[strings.LastIndexByte(op.Zone, '/')+1:], op.Name).Do()
		} else {
			op, err = e.api.GlobalOperations.Wait(e.project, op.Name).Do()
		}
	}
	if err != nil {
		e.t.Fatal(err)
	}
	if op.Error != nil {
		e.t.Fatalf("%s: %+v", op.Name, op.Error.Errors[0])
	}
}

func (e *engine) url(format string, args ...any) string {
	return "projects/" + e.project + "/" + fmt.Sprintf(format, args...)
}

// group makes the endpoint group of a cluster's nodes at a node port. For a cluster
// outside Compute Engine it is a group of addresses.
func (e *engine) group(name, zone string, cluster int, port int32) (self string) {
	e.t.Helper()
	all, err := client(e.t, cluster).CoreV1().Nodes().List(e.t.Context(), metav1.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	group := &compute.NetworkEndpointGroup{Name: name, NetworkEndpointType: "NON_GCP_PRIVATE_IP_PORT", Network: e.url("global/networks/default")}
	var endpoints []*compute.NetworkEndpoint
	for _, n := range all.Items {
		endpoint := &compute.NetworkEndpoint{IpAddress: n.Status.Addresses[0].Address, Port: int64(port)}
		if strings.HasPrefix(n.Spec.ProviderID, "gce://") {
			group.NetworkEndpointType = "GCE_VM_IP_PORT"
			group.Subnetwork = e.url("regions/%s/subnetworks/default", zone[:len(zone)-2])
			endpoint.Instance = n.Name
		}
		endpoints = append(endpoints, endpoint)
	}
	e.done(e.api.NetworkEndpointGroups.Insert(e.project, zone, group).Do())
	e.done(e.api.NetworkEndpointGroups.AttachNetworkEndpoints(e.project, zone, name,
		&compute.NetworkEndpointGroupsAttachEndpointsRequest{NetworkEndpoints: endpoints}).Do())
	return e.url("zones/%s/networkEndpointGroups/%s", zone, name)
}

// balance makes a load balancer over groups and returns its address.
func (e *engine) balance(name, tag string, port int32, groups ...string) string {
	e.t.Helper()
	e.done(e.api.GlobalAddresses.Insert(e.project, &compute.Address{Name: name, IpVersion: "IPV4"}).Do())
	e.done(e.api.Firewalls.Insert(e.project, &compute.Firewall{
		Name: name, Network: e.url("global/networks/default"), TargetTags: []string{tag},
		SourceRanges: []string{"130.211.0.0/22", "35.191.0.0/16"},
		Allowed:      []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: []string{fmt.Sprint(port)}}},
	}).Do())
	e.done(e.api.HealthChecks.Insert(e.project, &compute.HealthCheck{
		Name: name, Type: "HTTP", CheckIntervalSec: 5, TimeoutSec: 1, HealthyThreshold: 1, UnhealthyThreshold: 2,
		HttpHealthCheck: &compute.HTTPHealthCheck{RequestPath: "/", PortSpecification: "USE_SERVING_PORT"},
	}).Do())
	service := &compute.BackendService{
		Name: name, Protocol: "HTTP", LoadBalancingScheme: "EXTERNAL_MANAGED",
		HealthChecks: []string{e.url("global/healthChecks/%s", name)},
	}
	for _, g := range groups {
		service.Backends = append(service.Backends, &compute.Backend{Group: g, BalancingMode: "RATE", MaxRatePerEndpoint: 100, CapacityScaler: 1})
	}
	e.done(e.api.BackendServices.Insert(e.project, service).Do())
	e.done(e.api.UrlMaps.Insert(e.project, &compute.UrlMap{Name: name, DefaultService: e.url("global/backendServices/%s", name)}).Do())
	e.done(e.api.TargetHttpProxies.Insert(e.project, &compute.TargetHttpProxy{Name: name, UrlMap: e.url("global/urlMaps/%s", name)}).Do())
	e.done(e.api.GlobalForwardingRules.Insert(e.project, &compute.ForwardingRule{
		Name: name, IPProtocol: "TCP", PortRange: "80", LoadBalancingScheme: "EXTERNAL_MANAGED", NetworkTier: "PREMIUM",
		IPAddress: e.url("global/addresses/%s", name), Target: e.url("global/targetHttpProxies/%s", name),
	}).Do())
	address, err := e.api.GlobalAddresses.Get(e.project, name).Do()
	if err != nil {
		e.t.Fatal(err)
	}
	return address.Address
}

// through sends a request to a load balancer and returns the cluster that answered.
func through(t *testing.T, address string) (string, error) {
	t.Helper()
	proxy, err := url.Parse(running.Description.GCP.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(proxy)}}
	response, err := client.Get("http://" + address + "/where")
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	var a nodes.Answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return "", err
	}
	if a.Path != "/where" || a.Cluster != response.Header.Get("X-Cluster") {
		return "", fmt.Errorf("the answer is %+v", a)
	}
	return a.Cluster, nil
}

func TestALoadBalancerReachesThePodsOfAllClusters(t *testing.T) {
	e := newEngine(t)
	_, _, port := serving(t, 0)
	_, _, other := serving(t, 1)
	within, outside := running.Description.Clusters[0], running.Description.Clusters[1]
	machines, err := e.api.Instances.List(e.project, "asia-east1-a").Do()
	if err != nil {
		t.Fatal(err)
	}
	if len(machines.Items) != 3 || len(machines.Items[0].Tags.Items) != 1 {
		t.Fatalf("there are %d machines in asia-east1-a, want 3 with one tag each", len(machines.Items))
	}
	address := e.balance("all", machines.Items[0].Tags.Items[0], port,
		e.group("within", "asia-east1-a", 0, port), e.group("outside", "europe-west1-b", 1, other))

	seen := map[string]bool{}
	eventually(t, "both clusters answer", func() bool {
		if cluster, err := through(t, address); err == nil {
			seen[cluster] = true
		}
		return seen[within] && seen[outside]
	})
	act(t, control.KillNodes) // of the one outside
	t.Cleanup(func() { act(t, control.ReviveNodes) })
	eventually(t, "the dead cluster is routed around", func() bool {
		for range 10 {
			if cluster, err := through(t, address); err != nil || cluster != within {
				return false
			}
		}
		return true
	})
	act(t, control.ReviveNodes)
	eventually(t, "the revived cluster answers", func() bool { cluster, err := through(t, address); return err == nil && cluster == outside })
}

func TestMachinesFollowNodes(t *testing.T) {
	e, c := newEngine(t), client(t, 0)
	const zone = "asia-east1-b"
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "comes"},
		Spec:       corev1.NodeSpec{ProviderID: "gce://" + e.project + "/" + zone + "/comes", Unschedulable: true},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.128.0.88"}}},
	}
	if _, err := c.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := false
	remove := func() {
		if deleted {
			return
		}
		deleted = true
		if err := c.CoreV1().Nodes().Delete(context.WithoutCancel(t.Context()), "comes", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(remove)
	var machine *compute.Instance
	eventually(t, "the machine is there", func() bool {
		var err error
		machine, err = e.api.Instances.Get(e.project, zone, "comes").Do()
		return err == nil
	})
	at := machine.NetworkInterfaces[0]
	if at.NetworkIP != "10.128.0.88" || !strings.HasSuffix(at.Network, "/global/networks/default") || !strings.HasSuffix(at.Subnetwork, "/regions/asia-east1/subnetworks/default") {
		t.Errorf("its interface is %+v", at)
	}
	if tags := machine.Tags.Items; len(tags) != 1 || !strings.HasPrefix(tags[0], "gke-gce-asia-east1a-") || !strings.HasSuffix(tags[0], "-node") {
		t.Errorf("its tags are %v", tags)
	}
	remove()
	eventually(t, "the machine is gone", func() bool {
		_, err := e.api.Instances.Get(e.project, zone, "comes").Do()
		refusal, ok := errors.AsType[*googleapi.Error](err)
		return ok && refusal.Code == http.StatusNotFound
	})
}

func TestNodesOutsideAreNoInstances(t *testing.T) {
	e := newEngine(t)
	all, err := e.api.Instances.AggregatedList(e.project).Do()
	if err != nil {
		t.Fatal(err)
	}
	for zone, in := range all.Items {
		for _, machine := range in.Instances {
			if strings.HasPrefix(machine.Name, "rack-") {
				t.Errorf("%s is in %s", machine.Name, zone)
			}
		}
	}
	if got, want := fmt.Sprint(running.Description.GCP.Outside), fmt.Sprint(running.Description.Clusters[1:]); got != want {
		t.Errorf("the clusters outside are %s, want %s", got, want)
	}
}

// ask sends a request to the control socket and returns the status of the answer.
func ask(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://sandbox"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", running.Description.Control)
	}}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK && into != nil {
		if err := json.NewDecoder(bytes.NewReader(answer)).Decode(into); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
	}
	return response.StatusCode
}

func TestFaultsOfTheSocketApplyToCalls(t *testing.T) {
	e := newEngine(t)
	get := func() error { _, err := e.api.Networks.Get(e.project, "default").Do(); return err }
	var added struct{ ID int }
	status := ask(t, http.MethodPost, "/gcp/faults", `{"method":"networks\\.get","action":"answer","status":403,"reason":"forbidden","message":"not you"}`, &added)
	if status != http.StatusOK || added.ID == 0 {
		t.Fatalf("the fault was answered %d, %+v", status, added)
	}
	ask(t, http.MethodDelete, "/gcp/calls", "", nil)
	refusal, ok := errors.AsType[*googleapi.Error](get())
	if !ok || refusal.Code != http.StatusForbidden || refusal.Message != "not you" {
		t.Errorf("the call was answered %v, want 403", refusal)
	}
	var calls []gcetest.Call
	ask(t, http.MethodGet, "/gcp/calls", "", &calls)
	if len(calls) != 1 || calls[0].Method != "networks.get" || calls[0].Status != http.StatusForbidden {
		t.Errorf("the calls are %+v", calls)
	}
	path := fmt.Sprintf("/gcp/faults/%d", added.ID)
	if status := ask(t, http.MethodDelete, path, "", nil); status != http.StatusOK {
		t.Errorf("remove the fault: status %d", status)
	}
	if err := get(); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	if status := ask(t, http.MethodDelete, path, "", nil); status != http.StatusNotFound {
		t.Errorf("remove an unknown fault: status %d", status)
	}
}

func TestInvalidFaultsAreRefused(t *testing.T) {
	for _, body := range []string{
		`{}`, `not JSON`, `{"action":"explode"}`, `{"action":"answer"}`, `{"action":"answer","status":200}`,
		`{"action":"failOperation"}`, `{"action":"slowOperation","time":"soon"}`, `{"action":"hang","typo":1}`,
		`{"action":"hang","method":"("}`,
	} {
		if status := ask(t, http.MethodPost, "/gcp/faults", body, nil); status != http.StatusBadRequest {
			t.Errorf("%s was answered %d", body, status)
		}
	}
}
