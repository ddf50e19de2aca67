package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// KeyReader reads a certificate and its key, as PEM, from a Secret of a member cluster.
// It retains neither.
type KeyReader interface {
	TLSSecret(ctx context.Context, cluster federation.Cluster, namespace, name string) (chain, key []byte, err error)
}

// keys holds the certificates that Ingresses name. Each is read from the first member
// that answers, and again only when its digest changes.
type keys struct {
	reader KeyReader
	all    map[string]keyEntry // by "namespace/name"
}

type keyEntry struct {
	pair   gcp.KeyPair
	digest string    // of tls.crt in all members
	retry  time.Time // after a failure
	tries  int       // failures in a row; each try asks another member
}

// keysTimeout bounds how long a turn waits for certificates. Those that a member does
// not return in time are left to a later turn.
const keysTimeout = 10 * time.Second

func newKeys(reader KeyReader) *keys { return &keys{reader: reader, all: map[string]keyEntry{}} }

// known returns what has been read, by "namespace/name".
func (k *keys) known() map[string]gcp.KeyPair {
	out := make(map[string]gcp.KeyPair, len(k.all))
	for name, e := range k.all {
		out[name] = e.pair
	}
	return out
}

// read reads the missing certificates. A Secret that differs between the members whose
// state is known is not read.
func (k *keys) read(ctx context.Context, in *gcp.Input) {
	named := secretsOf(in.Plan)
	for name := range k.all {
		if _, still := named[name]; !still {
			delete(k.all, name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	for name, clusters := range named {
		if ctx.Err() != nil {
			return
		}
		k.readOne(ctx, in, name, clusters)
	}
}

func (k *keys) readOne(ctx context.Context, in *gcp.Input, name string, clusters []string) {
	digest, holders, problem := agreed(in.Facts, name, clusters)
	e := k.all[name]
	switch {
	case problem != "":
		e.pair.Error = problem // the previous certificate stays in use
		k.all[name] = e
		return
	case digest == "":
		return // nothing is known yet
	case e.digest == digest && e.pair.Digest != "":
		e.pair.Error = ""
		k.all[name] = e
		return
	case k.reader == nil:
		return // a preview reads no Secrets; that is no fault of the Secret
	case time.Now().Before(e.retry):
		return
	}
	namespace, secret := splitName(name)
	holder := holders[e.tries%len(holders)]
	ctx, cancel := context.WithTimeout(ctx, gcp.QuestionTimeout)
	defer cancel()
	chain, key, err := k.reader.TLSSecret(ctx, clusterOf(in.Federation, holder), namespace, secret)
	switch {
	case err != nil:
		e.pair.Error = fmt.Sprintf("read Secret %s in %s: %v", name, holder, err)
		if e.tries++; e.tries%len(holders) == 0 {
			e.retry = time.Now().Add(longPause / 10)
		}
	case certDigest(chain) != digest:
		e.pair.Error = fmt.Sprintf("Secret %s in %s has just changed", name, holder)
	default:
		sum := sha256.Sum256(append(append(slices.Clone(chain), 0), key...))
		e = keyEntry{digest: digest, pair: gcp.KeyPair{
			Chain: string(chain), Key: gcp.Secret(key), Digest: hex.EncodeToString(sum[:8]),
		}}
	}
	k.all[name] = e
}

// agreed returns the digest that is the same in all members whose state is known, and
// those members. The problem is a sentence for users.
func agreed(facts federation.Facts, name string, clusters []string) (digest string, holders []string, problem string) {
	namespace, secret := splitName(name)
	for _, cluster := range clusters {
		f := facts.Of(cluster)
		if f.State != federation.ClusterReady || !f.Synced {
			continue // its state is not known now
		}
		for _, c := range f.Certificates {
			switch {
			case c.Namespace != namespace || c.Name != secret:
			case !c.Exists:
				return "", nil, fmt.Sprintf("Secret %s does not exist in %s", name, cluster)
			case digest != "" && c.Digest != digest:
				return "", nil, fmt.Sprintf("Secret %s differs between %s and %s", name, holders[0], cluster)
			default:
				digest = c.Digest
				holders = append(holders, cluster)
			}
		}
	}
	return digest, holders, ""
}

// secretsOf returns the Secrets that Ingresses name under spec.tls, each with the
// clusters of those Ingresses.
func secretsOf(plan federation.Plan) map[string][]string {
	all := map[string][]string{}
	for _, c := range plan.Clusters {
		for _, app := range c.Apps {
			for _, o := range app.Objects {
				if o.Ref.Kind != "Ingress" {
					continue
				}
				for _, secret := range tlsOf(o) {
					name := o.Ref.Namespace + "/" + secret
					if !slices.Contains(all[name], c.Cluster) {
						all[name] = append(all[name], c.Cluster)
					}
				}
			}
		}
	}
	return all
}

func tlsOf(o *federation.Object) []string {
	var ingress struct {
		Spec struct {
			TLS []struct {
				SecretName string `json:"secretName"`
			} `json:"tls"`
		} `json:"spec"`
	}
	if json.Unmarshal(o.JSON, &ingress) != nil {
		return nil
	}
	var names []string
	for _, t := range ingress.Spec.TLS {
		if t.SecretName != "" {
			names = append(names, t.SecretName)
		}
	}
	return names
}

// certDigest returns the digest of a certificate, as in the clusters' facts.
func certDigest(chain []byte) string {
	sum := sha256.Sum256(chain)
	return hex.EncodeToString(sum[:16])
}

func splitName(name string) (namespace, secret string) {
	namespace, secret, _ = strings.Cut(name, "/")
	return namespace, secret
}

func clusterOf(f *federation.Federation, name string) federation.Cluster {
	i := slices.IndexFunc(f.Clusters, func(c federation.Cluster) bool { return c.Name == name })
	if i < 0 {
		return federation.Cluster{Name: name, Context: name}
	}
	return f.Clusters[i]
}
