package daemon

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

const shop = "shop.example"

// servesTLS serves HTTPS with a certificate from the members' Secrets, and follows them
// when it is renewed.
func (w *cloudWorld) servesTLS() {
	w.logs = &lockedBuffer{}
	issuer := newIssuer(w.t)
	first, second, third := issuer.issue(1), issuer.issue(2), issuer.issue(3)
	clusters := w.sandbox.Clusters()
	for _, cluster := range clusters {
		w.secret(cluster, first)
	}
	const spec = `{tls: [{hosts: [shop.example], secretName: web}], rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}`
	w.web = w.ingressWith(spec, map[string]string{federation.AnnotationClass: federation.ClassGoogle})
	d := w.start()
	w.push()
	address := w.served(d).Balancers[0].Address
	w.awaitCertificate(issuer, address, first)
	w.answers(http.StatusOK, "http://"+address+"/", shop)
	w.answers(http.StatusNotFound, "http://"+address+"/", "other.example")
	before := w.certificates()
	if len(before) != 1 {
		w.t.Fatalf("the certificates are %v", before)
	}

	secure := w.loadBy(w.secureClient(issuer), "https://"+address+"/", 20*time.Millisecond)
	defer secure.stop()
	w.secret(clusters[0], second)
	d.await("one Secret is another", hasFinding("E D19", "not the same", clusters[0]))
	for range 20 {
		w.holdsCertificate(issuer, address, first)
	}
	if got := w.certificates(); !slices.Equal(got, before) {
		w.t.Errorf("with one other Secret the certificates are %v, want %v", got, before)
	}
	for _, cluster := range clusters[1:] {
		w.secret(cluster, second)
	}
	w.awaitCertificate(issuer, address, second)
	eventually(w.t, "the old certificate is deleted", func() string {
		if got := w.certificates(); len(got) != 1 || got[0] == before[0] {
			return strings.Join(got, " ")
		}
		return ""
	})

	w.web = w.ingressWith(spec, map[string]string{federation.AnnotationClass: federation.ClassGoogle, "fedsync.dev/https-redirect": "true"})
	w.push()
	w.served(d)
	for _, cluster := range clusters {
		w.secret(cluster, third)
	}
	w.awaitCertificate(issuer, address, third)
	w.redirects(address)
	secure.unharmed(w.t)
	secure.stop()
	w.t.Logf("HTTPS: %s", secure)
	w.keepsSecret(d, first, second, third)
}

// pair is a certificate with its key, in the form of a Secret.
type pair struct {
	serial     int64
	chain, key []byte
}

// issuer is a certificate authority of the test's own.
type issuer struct {
	t    interface{ Fatal(...any) }
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t interface{ Fatal(...any) }) *issuer {
	i := &issuer{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(100), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, i.cert, i.cert, &i.key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) issue(serial int64) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{shop}, NotAfter: time.Now().Add(time.Hour),
	}, i.cert, &key.PublicKey, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return pair{
		serial: serial,
		chain:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// secret creates the Secret of a cluster, or replaces its data.
func (w *cloudWorld) secret(cluster string, p pair) {
	w.t.Helper()
	secrets := w.sandbox.Client(w.t, cluster).CoreV1().Secrets(w.namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: p.chain, corev1.TLSPrivateKeyKey: p.key},
	}
	_, err := secrets.Create(w.t.Context(), secret, metav1.CreateOptions{})
	if err != nil {
		_, err = secrets.Update(w.t.Context(), secret, metav1.UpdateOptions{})
	}
	if err != nil {
		w.t.Fatalf("write the Secret in %s: %v", cluster, err)
	}
}

// secureClient returns a client that makes a connection for each request and accepts only
// the issuer's certificates.
func (w *cloudWorld) secureClient(i *issuer) *http.Client {
	w.t.Helper()
	proxy, err := url.Parse(w.cloud.Proxy)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(i.cert)
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: hosted{&http.Transport{
			Proxy: http.ProxyURL(proxy), DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: shop, MinVersion: tls.VersionTLS12},
		}},
	}
}

// hosted sends requests with the shop's name as the host to any address.
type hosted struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (h hosted) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = shop
	return h.next.RoundTrip(r)
}

// served requests the page over HTTPS and returns the certificate that the server sent.
func (w *cloudWorld) certificate(i *issuer, address string) (serial int64, err error) {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		return 0, err
	}
	response, err := w.secureClient(i).Do(request)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || response.TLS == nil {
		return 0, fmt.Errorf("the answer is %s", response.Status)
	}
	return response.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
}

func (w *cloudWorld) awaitCertificate(i *issuer, address string, want pair) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("certificate %d is shown", want.serial), func() string {
		switch got, err := w.certificate(i, address); {
		case err != nil:
			return err.Error()
		case got != want.serial:
			return fmt.Sprintf("it is %d", got)
		}
		return ""
	})
}

func (w *cloudWorld) holdsCertificate(i *issuer, address string, want pair) {
	w.t.Helper()
	if got, err := w.certificate(i, address); err != nil || got != want.serial {
		w.t.Errorf("certificate %d is shown (%v), want %d", got, err, want.serial)
	}
}

// certificates returns the names of the federation's certificates.
func (w *cloudWorld) certificates() []string {
	w.t.Helper()
	var names []string
	for _, c := range w.cloud.Snapshot(w.t).Certificates {
		if w.isOurs(c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// answers sends a request for a host to an address and checks the answer.
func (w *cloudWorld) answers(want int, address, host string) http.Header {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Host = host
	response, err := w.cloud.Client().Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != want {
		w.t.Errorf("%s answers %s with %s, want %d", address, host, response.Status, want)
	}
	return response.Header
}

// redirects checks that HTTP is redirected to HTTPS.
func (w *cloudWorld) redirects(address string) {
	w.t.Helper()
	header := w.answers(http.StatusMovedPermanently, "http://"+address+"/cart?id=1", shop)
	if got, want := header.Get("Location"), "https://"+shop+"/cart?id=1"; got != want {
		w.t.Errorf("HTTP is redirected to %q, want %q", got, want)
	}
}

// keepsSecret checks that no output contains any part of the keys.
func (w *cloudWorld) keepsSecret(d *ran, pairs ...pair) {
	w.t.Helper()
	report, err := json.Marshal(d.reports.Newest())
	if err != nil {
		w.t.Fatal(err)
	}
	shown := map[string]string{"report": string(report), "log": w.logs.String()}
	for _, path := range []string{"/", "/api/v1/report", "/metrics", "/revisions/" + w.repo.Head(), "/api/v1/revisions/" + w.repo.Head()} {
		shown[path] = w.page(d, path)
	}
	for place, text := range shown {
		if len(text) < 100 {
			w.t.Errorf("%s is %q: it cannot be checked", place, text)
		}
		for _, p := range pairs {
			for _, part := range keyParts(p.key) {
				if strings.Contains(text, part) {
					w.t.Errorf("%s shows a part of key %d", place, p.serial)
				}
			}
		}
	}
}

// keyParts returns the strings that would reveal a key: its lines, and those of its
// encoding in a Secret.
func keyParts(key []byte) []string {
	var parts []string
	for line := range strings.Lines(string(key)) {
		if line = strings.TrimSpace(line); len(line) > 16 && !strings.HasPrefix(line, "-") {
			parts = append(parts, line[:16])
		}
	}
	encoded := base64.StdEncoding.EncodeToString(key)
	return append(parts, encoded[len(encoded)/2:][:24])
}

// page reads a page of the daemon.
func (w *cloudWorld) page(d *ran, path string) string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, d.publicURL()+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text bytes.Buffer
	if _, err := io.Copy(&text, response.Body); err != nil || response.StatusCode != http.StatusOK {
		w.t.Errorf("%s: %s, %v", path, response.Status, err)
	}
	return text.String()
}
