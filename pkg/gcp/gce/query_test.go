package gce

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestOnlyLoopbackGoesWithoutCredentials(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:8080/compute/v1/": true, "http://localhost:8080": true, "http://[::1]:8080": true, "https://127.1.2.3": true,
		"http://10.0.0.1": false, "https://compute.googleapis.com": false, "http://localhost.evil.example": false,
		"127.0.0.1:8080": false, "": false, "ftp://127.0.0.1": false, "http://user:secret@127.0.0.1": false,
	} {
		err := CheckEndpoint(endpoint)
		if (err == nil) != want {
			t.Errorf("CheckEndpoint(%q) = %v, want allowed: %v", endpoint, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	if _, err := New(t.Context(), Options{Project: "p", Endpoint: "http://10.0.0.1"}); err == nil {
		t.Error("a client was made of another host")
	}
	if _, err := New(t.Context(), Options{Project: "123456", Endpoint: "http://127.0.0.1:1"}); err == nil {
		t.Error("a client was made for the number of a project")
	}
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/compute/v1", "http://127.0.0.1:1/compute/v1/"} {
		if got := endpointURL(endpoint); got != "http://127.0.0.1:1/compute/v1/" {
			t.Errorf("endpointURL(%q) = %q", endpoint, got)
		}
	}
}

func TestPermissionsAndQuotasAreKnown(t *testing.T) {
	denied := "compute.backendServices.update"
	_, c := newStandIn(t, gcetest.Options{Denied: []string{denied}, Quotas: map[string]int{"backendServices": 9}})
	permissions := []string{"compute.backendServices.get", denied, "compute.urlMaps.update", "compute.instances.get"}
	if missing, err := c.Missing(t.Context(), permissions); err != nil || len(missing) > 0 {
		t.Errorf("before there is anything: %v, %v", missing, err)
	}
	newFrontend(t).build(t, c)
	mustObserve(t, c, gcp.Scope{})
	if missing, err := c.Missing(t.Context(), permissions); err != nil || !slices.Equal(missing, []string{denied}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	quotas, err := c.Quotas(t.Context())
	if err != nil || !slices.Contains(quotas, gcp.Quota{Metric: "BACKEND_SERVICES", Limit: 9, Usage: 1}) {
		t.Errorf("quotas %v, %v", quotas, err)
	}
}

func TestHealthCountsTheEndpointsOfAGroup(t *testing.T) {
	_, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	health, err := c.Health(t.Context(), f.service.ID, f.group.ID)
	if err != nil || health.Healthy != 0 || health.Unhealthy+health.Unknown > 2 {
		t.Errorf("health %+v, %v", health, err)
	}
	if _, err := c.Health(t.Context(), gcp.ID{Kind: gcp.KindService, Name: "none"}, f.group.ID); !absent(err) {
		t.Errorf("health of nothing: %v", err)
	}
}

func TestAnAddressInUseNamesItsUsers(t *testing.T) {
	_, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	second := f.plain
	second.ID.Name = "second-fr"
	err := c.Do(t.Context(), gcp.Action{Verb: gcp.Create, ID: second.ID, Want: second})
	if classOf(err) != gcp.ClassConflict || !strings.Contains(err.Error(), "web-fr, web-frs") {
		t.Errorf("got %v (%s)", err, classOf(err))
	}
}

// A token server may repeat in its answer what it was sent.
func TestErrorsOfAuthenticationHoldNoAnswer(t *testing.T) {
	const secret = "eyJ-assertion-of-the-service-account"
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"` + secret + `"}`))
	}))
	defer tokens.Close()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, gcptest.Encode(t, map[string]string{
		"type": "service_account", "project_id": "p", "private_key": pemText("PRIVATE KEY", der), "private_key_id": "1",
		"client_email": "fedsync@p.iam.gserviceaccount.com", "token_uri": tokens.URL,
	}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	c, err := New(t.Context(), Options{Project: "p"})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = quickPace
	_, err = c.Quotas(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "Application Default Credentials") || classOf(err) != gcp.ClassForbidden {
		t.Errorf("got %v (%s)", err, classOf(err))
	}
}
