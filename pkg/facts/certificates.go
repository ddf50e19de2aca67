package facts

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// readCertificate reads what may be known about a Secret: a digest that shows whether it
// equals another cluster's, and nothing of its content.
func readCertificate(u *unstructured.Unstructured) federation.Certificate {
	c := federation.Certificate{
		Namespace: u.GetNamespace(), Name: u.GetName(),
		Exists: true, Type: untrusted.Line(live.Text(u, "type")),
	}
	encoded := live.Text(u, "data", "tls.crt")
	if certificate, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(certificate) > 0 {
		sum := sha256.Sum256(certificate)
		c.Digest = hex.EncodeToString(sum[:16])
	}
	return c
}

// certificateFacts returns the facts of the Secrets with these names, in their order. A
// Secret that was not read yet, or may not be read, is left out.
func certificateFacts(
	names []types.NamespacedName, kept map[types.NamespacedName]federation.Certificate, listed map[watch.Watch]bool,
) []federation.Certificate {
	list := make([]federation.Certificate, 0, len(names))
	for _, name := range names {
		if !listed[oneObject(secretsResource, name)] {
			continue
		}
		c, ok := kept[name]
		if !ok {
			c = federation.Certificate{Namespace: name.Namespace, Name: name.Name}
		}
		list = append(list, c)
	}
	return list
}
