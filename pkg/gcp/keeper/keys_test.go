package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// secretStore holds one TLS Secret for each cluster.
type secretStore struct {
	mu    sync.Mutex
	pairs map[string]gcp.KeyPair // by cluster
	err   error
	reads []string // clusters that were asked
}

func (s *secretStore) TLSSecret(_ context.Context, c federation.Cluster, _, _ string) (chain, key []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, c.Name)
	return []byte(s.pairs[c.Name].Chain), []byte(s.pairs[c.Name].Key), s.err
}

func (s *secretStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reads)
}

// put sets the pair of clusters, in the store and in the facts.
func (s *secretStore) put(l *lab, pair gcp.KeyPair, clusters ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range clusters {
		s.pairs[c] = pair
		l.Change(c, func(f *federation.ClusterFacts) {
			f.Certificates = []federation.Certificate{{
				Namespace: "default", Name: "web", Exists: true, Type: "kubernetes.io/tls", Digest: certDigest([]byte(pair.Chain)),
			}}
		})
	}
}

// The key of a Secret is read and uploaded one time, replaced when the Secret has changed
// in all clusters, and shown nowhere.
func TestTheKeyOfASecretIsReadOnceAndShowsNowhere(t *testing.T) {
	var pairs []gcp.KeyPair
	for range 2 {
		chain, key := gcptest.NewKeyPair(t)
		pairs = append(pairs, gcp.KeyPair{Chain: chain, Key: key})
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, quickOperations)
		defer l.close()
		core, logged := observer.New(zapcore.DebugLevel)
		l.log = zap.New(core)
		store := &secretStore{pairs: map[string]gcp.KeyPair{}}
		l.keys = store
		l.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
		store.put(l, pairs[0], "c1", "c2")
		l.start()
		l.healthy()
		l.settle()
		certificates := func() []string {
			var names []string
			for _, c := range l.server.Snapshot().Certificates {
				names = append(names, c.Name)
			}
			return names
		}
		first := certificates()
		if len(first) != 1 || store.count() != 1 {
			t.Fatalf("%d certificates after %d readings of the Secret; want one after one", len(first), store.count())
		}
		l.restart()
		l.settle()
		if got := certificates(); !slices.Equal(got, first) {
			t.Errorf("another certificate after a restart: %v, %v before", got, first)
		}

		// Half rotated: nothing is uploaded, and the present certificate stays.
		read := store.count()
		store.put(l, pairs[1], "c1")
		l.want()
		time.Sleep(30 * time.Second)
		if got := certificates(); !slices.Equal(got, first) || store.count() != read {
			t.Errorf("a Secret that differs was read %d times, and certificates are %v", store.count()-read, got)
		}
		if !strings.Contains(l.status(), "differs between c1 and c2") {
			t.Errorf("no finding reports that the Secret differs:\n%s", l.status())
		}
		store.put(l, pairs[1], "c2")
		l.want()
		l.settle()
		got := certificates()
		proxies := l.server.Snapshot().HTTPSProxies
		if len(got) != 1 || got[0] == first[0] || len(proxies) != 1 || lastPart(proxies[0].SslCertificates[0]) != got[0] {
			t.Errorf("after the rotation there are %v, before %v; the proxy has %v", got, first, proxies[0].SslCertificates)
		}
		for path, changes := range l.server.History() {
			for _, c := range changes {
				if strings.Contains(path, "targetHttpsProxies") && strings.HasSuffix(c.Method, ".delete") {
					t.Error("the proxy was deleted for another certificate")
				}
			}
		}

		// The key is nowhere: not in logs, state, findings, plans and deeds.
		state, err := json.Marshal(l.keeper.State())
		if err != nil {
			t.Fatal(err)
		}
		everything := string(state) + fmt.Sprintf("%+v %#v", l.keeper.State(), l.keeper.State())
		for _, entry := range logged.All() {
			everything += fmt.Sprint(entry.Message, entry.ContextMap())
		}
		for _, pair := range pairs {
			for line := range strings.Lines(string(pair.Key)) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "---") && strings.Contains(everything, line) {
					t.Fatal("the private key shows in the state or in the log")
				}
			}
		}
		if strings.Contains(everything, "PRIVATE KEY") {
			t.Error("a private key shows in the state or in the log")
		}
		if len(logged.All()) == 0 {
			t.Error("nothing was logged")
		}
	})
}

// If a Secret cannot be read, the load balancer is not created or left unchanged, and
// the reads are paced.
func TestASecretThatCannotBeReadIsAskedForAtAPace(t *testing.T) {
	chain, key := gcptest.NewKeyPair(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, quickOperations)
		defer l.close()
		store := &secretStore{pairs: map[string]gcp.KeyPair{}, err: errors.New("secrets is forbidden")}
		l.keys = store
		l.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
		store.put(l, gcp.KeyPair{Chain: chain, Key: key}, "c1", "c2")
		l.start()
		time.Sleep(5 * time.Minute)
		if n := store.count(); n < 2 || n > 2*12 {
			t.Errorf("the two clusters were asked %d times in five minutes", n)
		}
		if !strings.Contains(l.status(), "secrets is forbidden") {
			t.Errorf("no finding gives the reason:\n%s", l.status())
		}
		store.mu.Lock()
		store.err = nil
		store.mu.Unlock()
		l.healthy()
		l.settle()
		if n := len(l.server.Snapshot().Certificates); n != 1 {
			t.Errorf("%d certificates once the Secret can be read", n)
		}
	})
}
