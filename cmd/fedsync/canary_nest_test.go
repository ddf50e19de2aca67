package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/badmember"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// secretPlaces lists all places that may hold a secret, except the client's key, which must
// be a real key.
var secretPlaces = []string{
	"token of the Git server", "token of the forge", "secret of webhooks", "secret that a stranger sends", "token in a wrong place",
	"token in the kubeconfig", "token file of the kubeconfig", "password in the kubeconfig", "password in a server's URL",
	"password of a proxy in the kubeconfig", "configuration of an auth-provider", "argument of a plugin", "environment of a plugin", "token of a plugin",
	"password of a proxy in the environment", "variable of the environment", "client secret of Google", "refresh token of Google",
	"data of a Secret", "stringData of a Secret", "data of a Secret that is wrong", "image pull secret", "literal of a secretGenerator",
	"Secret in a cluster",
}

// nest is a set-up with a canary in each of these places.
type nest struct {
	t       *testing.T
	dir     string
	secrets map[string]string // by place
	search  *searching

	repo       *sourcetest.Repo
	revision   string // pushed last
	git, forge *badforge.Server
	members    map[string]*badmember.Server // by context
	env        []string

	mu     sync.Mutex // protects posted
	posted []string   // requests that the forge accepted
}

// searching reports what it finds, one time for each place and outlet.
type searching struct {
	*canary.Search

	t    *testing.T
	mu   sync.Mutex // protects Search and told
	told map[string]bool
}

// in searches the output of an outlet.
func (s *searching) in(outlet, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.In(text) {
		if key := f.Place + " in " + outlet; !s.told[key] {
			s.told[key] = true
			s.t.Errorf("%s holds the %s, written by %v: %q", outlet, f.Place, f.By, f.Near)
		}
	}
}

func newNest(t *testing.T) *nest {
	w := &nest{t: t, dir: t.TempDir(), secrets: map[string]string{}, members: map[string]*badmember.Server{}, repo: sourcetest.New(t)}
	for _, place := range secretPlaces {
		w.secrets[place] = canary.New(place)
	}
	key, certificate := clientKey(t)
	w.secrets["client key in the kubeconfig"] = key
	w.search = &searching{t: t, told: map[string]bool{}, Search: canary.NewSearch(w.secrets)}

	for _, dir := range []string{".cache", "tmp", ".home"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.git = badforge.New(t, sourcetest.ServeHTTP(t, w.repo, w.secrets["token of the Git server"]))
	w.forge = badforge.New(t, http.HandlerFunc(w.serveForge))
	w.kubeconfig(certificate)
	w.write("git-token", w.secrets["token of the Git server"]+"\n")
	w.write("forge-token", w.secrets["token of the forge"])
	w.write("webhook-secret", w.secrets["secret of webhooks"])
	google, err := json.Marshal(map[string]string{
		"type": "authorized_user", "client_id": "fedsync", "client_secret": w.secrets["client secret of Google"],
		"refresh_token": w.secrets["refresh token of Google"],
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy := w.proxy("password of a proxy in the environment")
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(w.dir, ".home"), "XDG_CACHE_HOME=" + filepath.Join(w.dir, ".cache"),
		"TMPDIR=" + filepath.Join(w.dir, "tmp"), "GOTRACEBACK=all",
		"HTTPS_PROXY=" + proxy, "GOOGLE_APPLICATION_CREDENTIALS=" + w.write("google.json", string(google)),
		"AWS_SECRET_ACCESS_KEY=" + w.secrets["variable of the environment"], "FEDSYNC_PASSWORD=" + w.secrets["variable of the environment"],
		"FEDSYNC_REPO=" + w.git.URL + "/" + filepath.Base(w.repo.Path), "FEDSYNC_TOKEN_FILE=" + filepath.Join(w.dir, "git-token"),
		"FEDSYNC_KUBECONFIG=" + filepath.Join(w.dir, "kubeconfig"), "FEDSYNC_REQUEST_TIMEOUT=5s", "FEDSYNC_PROBE_INTERVAL=500ms",
		"FEDSYNC_COMMIT_STATUS=gitea", "FEDSYNC_FORGE_URL=" + w.forge.URL, "FEDSYNC_FORGE_REPOSITORY=team/web",
		"FEDSYNC_FORGE_TOKEN_FILE=" + filepath.Join(w.dir, "forge-token"), "FEDSYNC_WEBHOOK_SECRET_FILE=" + filepath.Join(w.dir, "webhook-secret"),
	}
	for name, value := range w.coverage() {
		w.env = append(w.env, name+"="+value)
	}
	w.push("first", "first")
	return w
}

// coverage returns the environment that a test binary needs to measure its coverage.
func (w *nest) coverage() map[string]string {
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		return map[string]string{"GOCOVERDIR": dir}
	}
	return nil
}

// write writes a file and returns its name.
func (w *nest) write(name, content string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(content), 0o700); err != nil { //nolint:gosec // plugins are executable
		w.t.Fatal(err)
	}
	return file
}

// clientKey returns a new key pair, in PEM.
func clientKey(t *testing.T) (key, certificate string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// kubeconfig returns a kubeconfig with a cluster for each kind of credential.
func (w *nest) kubeconfig(certificate string) {
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := w.secrets
	plugin := w.write("plugin", `#!/bin/sh
echo "called with $1 and $PLUGIN_SECRET" >&2
echo "$PLUGIN_SECRET" | base64 >&2
if [ "$FAIL" ]; then exit 3; fi
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"`+s["token of a plugin"]+`"}}'
`)
	exec := func(more string) string {
		return fmt.Sprintf(`exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: Never, args: ["--secret=%s"], env: [{name: PLUGIN_SECRET, value: %q}%s]}`,
			plugin, s["argument of a plugin"], s["environment of a plugin"], more)
	}
	users := map[string]string{
		"good":          "token: nothing-that-is-secret",
		"token":         fmt.Sprintf("token: %q", s["token in the kubeconfig"]),
		"file":          fmt.Sprintf("tokenFile: %q", w.write("token-file", s["token file of the kubeconfig"])),
		"password":      fmt.Sprintf("username: ada, password: %q", s["password in the kubeconfig"]),
		"url":           "",
		"proxied":       "token: nothing-that-is-secret",
		"key":           fmt.Sprintf("client-key-data: %s, client-certificate-data: %s", encoded(s["client key in the kubeconfig"]), encoded(certificate)),
		"provider":      fmt.Sprintf("auth-provider: {name: oidc, config: {client-secret: %q}}", s["configuration of an auth-provider"]),
		"plugin":        exec(""),
		"broken-plugin": exec(`, {name: FAIL, value: "yes"}`),
	}
	var all [3]strings.Builder // clusters, users, contexts
	for i, name := range slices.Sorted(maps.Keys(users)) {
		store := objectstore.New(objectstore.Options{Name: name, Seed: uint64(i + 1)}) //nolint:gosec // small
		member := badmember.New(w.t, store, "")
		w.members[name] = member
		w.plant(store)
		server := member.URL()
		if name == "url" {
			server = strings.Replace(server, "https://", "https://ada:"+url.QueryEscape(s["password in a server's URL"])+"@", 1)
		}
		more := ""
		if name == "proxied" {
			more = fmt.Sprintf(", proxy-url: %q", w.proxy("password of a proxy in the kubeconfig"))
		}
		fmt.Fprintf(&all[0], "- {name: %s, cluster: {server: %q, certificate-authority-data: %s%s}}\n", name, server, encoded(string(member.CA())), more)
		fmt.Fprintf(&all[1], "- {name: %s, user: {%s}}\n", name, users[name])
		fmt.Fprintf(&all[2], "- {name: %s, context: {cluster: %[1]s, user: %[1]s}}\n", name)
	}
	w.write("kubeconfig", "apiVersion: v1\nkind: Config\nclusters:\n"+all[0].String()+"users:\n"+all[1].String()+"contexts:\n"+all[2].String())
}

// plant puts a Secret into a cluster that fedsync will adopt.
func (w *nest) plant(store *objectstore.Store) {
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"web","namespace":"default"},"stringData":{"other":%q}}`, w.secrets["Secret in a cluster"])
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "https://store/api/v1/namespaces/default/secrets", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	store.ServeHTTP(rec, req)
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("create a Secret in a cluster: %d %s", rec.Code, rec.Body)
	}
}

// proxy starts a proxy that refuses every request and returns the proxy's URL. Its answers
// repeat what it was sent, in another shape each time.
func (w *nest) proxy(place string) string {
	var next atomic.Int64
	shapes := canary.Shapes()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		value := strings.TrimPrefix(r.Header.Get("Proxy-Authorization"), "Basic ")
		plain, _ := base64.StdEncoding.DecodeString(value) // an invalid value holds no secret
		_, password, _ := strings.Cut(string(plain), ":")
		text := strings.NewReplacer("\n", " ", "\u202e", "").Replace(shapes[int(next.Add(1))%len(shapes)].Write(password))
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 407 %s\r\nProxy-Authenticate: %[1]s\r\nContent-Length: 0\r\n\r\n", text)
	}))
	w.t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://ada:"+url.QueryEscape(w.secrets[place])+"@", 1)
}

func (w *nest) clusters() []string { return slices.Sorted(maps.Keys(w.members)) }

// push makes a revision whose wrong parts hold a text, and a subject.
func (w *nest) push(subject, text string) {
	s := w.secrets
	encoded := func(t string) string { return base64.StdEncoding.EncodeToString([]byte(t)) }
	oneLine := func(t string) string { return strings.NewReplacer("\n", " ", "\x00", "").Replace(t) }
	var clusters []string
	for _, name := range w.clusters() {
		clusters = append(clusters, "{name: "+name+"}")
	}
	w.revision = w.repo.Push(oneLine(subject), map[string]string{
		"fedsync.yaml": "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n" +
			"  clusters: [" + strings.Join(clusters, ", ") + "]\n  gcp: {project: a-project}\n" +
			"  apps: [{name: web, path: apps/web}, {name: generated, path: apps/generated}, {name: wrong, path: apps/wrong}, {name: content, path: apps/content}]\n",
		"apps/web/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: default}\ndata: {round: " + fmt.Sprintf("%q", subject[:min(8, len(subject))]) + "}\n",
		"apps/web/ingress.yaml": "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: default}\nspec:\n" +
			"  ingressClassName: fedsync-global\n  rules: [{host: web.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]\n" +
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}\n",
		"apps/web/secret.yaml": fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: default}\ndata: {a: %s}\nstringData: {b: %q}\n"+
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: default}\ntype: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: %s}\n",
			encoded(s["data of a Secret"]), s["stringData of a Secret"],
			encoded(`{"auths":{"registry.example":{"auth":"`+encoded("ada:"+s["image pull secret"])+`"}}}`)),
		"apps/generated/kustomization.yaml": fmt.Sprintf("namespace: default\nsecretGenerator:\n- {name: generated, literals: [%q]}\n", "k="+s["literal of a secretGenerator"]),
		"apps/wrong/secret.yaml": fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: wrong, namespace: default}\ndata: {a: [%q], b: {%q: x}}\nstringData: %q\n",
			s["data of a Secret that is wrong"], s["data of a Secret that is wrong"], s["data of a Secret that is wrong"]),
		"apps/content/" + strings.NewReplacer("/", "_", "\n", "_").Replace(text)[:min(80, len(text))] + ".yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: content, namespace: default}\n%q: %q\ndata: {a: 1, %[1]q: x, %[1]q: y}\n", text, text),
	})
}

// serveForge acts as a Gitea that accepts every status.
func (w *nest) serveForge(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // an unreadable body holds no secret
	rw.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(rw, "[]")
		return
	}
	w.mu.Lock()
	w.posted = append(w.posted, r.URL.String()+" "+string(body))
	w.mu.Unlock()
	rw.WriteHeader(http.StatusCreated)
	_, _ = rw.Write(body)
}

func (w *nest) statuses() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.posted)
}

// run runs a command to its end.
func (w *nest) run(args ...string) (stdout, stderr string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "fedsync", args...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.env, &out, &said
	if err := cmd.Run(); err != nil && ctx.Err() != nil {
		w.t.Errorf("fedsync %v: %v", args, ctx.Err())
	}
	return out.String(), said.String()
}

// objects searches what fedsync and other clients wrote into the clusters, except for the
// data of Secrets.
func (w *nest) objects() {
	for name, m := range w.members {
		client, err := dynamic.NewForConfig(m.Store.Config())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, gvr := range []schema.GroupVersionResource{
			{Version: "v1", Resource: "configmaps"},
			{Version: "v1", Resource: "secrets"},
			{Version: "v1", Resource: "events"},
			{Version: "v1", Resource: "namespaces"},
			{Version: "v1", Resource: "services"},
			{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
			{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		} {
			list, err := client.Resource(gvr).List(w.t.Context(), metav1.ListOptions{})
			if err != nil {
				continue // it has none
			}
			for _, u := range list.Items {
				delete(u.Object, "data")
				text, err := u.MarshalJSON()
				if err != nil {
					w.t.Error(err)
				}
				w.search.in("an object of cluster "+name, string(text))
			}
		}
	}
}

// running is a running daemon.
type running struct {
	*nest
	*lab.Daemon

	searched int // how many bytes of the log
}

// start runs the daemon until the test's end.
func (w *nest) start() *running {
	w.t.Helper()
	cmd := exec.Command("fedsync", "run", "--listen=127.0.0.1:0", "--log-level=debug", "--interval=1m")
	cmd.Dir, cmd.Env = w.dir, w.env
	daemon, err := lab.StartDaemon(w.t.Context(), filepath.Join(w.dir, "log"), cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		daemon.Kill()
		if w.t.Failed() {
			w.t.Logf("log: %.6000s", daemon.Log())
		}
	})
	return &running{nest: w, Daemon: daemon}
}

// ask sends a request and returns the whole answer.
func (d *running) ask(method, path string, header map[string]string, body string) string {
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+strings.ReplaceAll(path, "+", "%2B"), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body) // an unreadable body reveals nothing
	return resp.Status + fmt.Sprint(resp.Header) + string(text)
}

func (d *running) get(path string) string { return d.ask(http.MethodGet, path, nil, "") }

// nudge notifies the daemon of a push, as the forge does.
func (d *running) nudge() {
	const body = `{"ref":"refs/heads/main"}`
	mac := hmac.New(sha256.New, []byte(d.secrets["secret of webhooks"]))
	_, _ = io.WriteString(mac, body)
	d.ask(http.MethodPost, "/webhook/gitea", map[string]string{"X-Gitea-Signature": hex.EncodeToString(mac.Sum(nil))}, body)
}

// look searches everything that the daemon shows.
func (d *running) look(when string) {
	paths := []string{"/", "/api/v1/report", "/metrics", "/healthz", "/readyz", "/revisions/" + d.revision, "/api/v1/revisions/" + d.revision, "/nowhere"}
	for _, name := range d.clusters() {
		paths = append(paths, "/clusters/"+name)
	}
	for _, path := range paths {
		d.search.in(path[:min(len(path), 20)]+" ("+when+")", d.get(path))
	}
	log := d.Log()
	d.search.in("log ("+when+")", log[max(0, d.searched-4096):]) // a line may have begun earlier
	d.searched = len(log)
}

func (d *running) eventually(what string, done func() bool) {
	d.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-d.Ended:
			d.t.Fatalf("the daemon ended before %s: %.4000s", what, d.Log())
		case <-deadline.C:
			d.t.Fatalf("waited a minute until %s; report: %.3000s", what, d.get("/api/v1/report"))
		case <-again.C:
		}
	}
}
