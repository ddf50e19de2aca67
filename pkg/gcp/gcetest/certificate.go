package gcetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"

	compute "google.golang.org/api/compute/v1"
)

const certificatesSegment = "sslCertificates"

func sslCertificates() *collection {
	c := collectionOf[compute.SslCertificate](certificatesSegment, certificatesSegment, "sslCertificate", "global")
	c.output = []string{"expireTime", "subjectAlternativeNames"}
	c.check = checkCertificate
	c.view = func(_ *Server, _ *resource, doc document) {
		delete(doc, "privateKey")
		if managed, ok := doc["selfManaged"].(map[string]any); ok {
			delete(managed, "privateKey")
		}
	}
	return c.readable().aggregated().writable()
}

// checkCertificate accepts certificates that the user provides. Its messages hold nothing
// of the key.
func checkCertificate(d *draft) *refusal {
	d.doc.setDefault("type", "SELF_MANAGED")
	if kind := d.doc.text("type"); kind != "SELF_MANAGED" {
		return notImplemented("certificates of type " + kind)
	}
	chain, secret := keyPair(d.doc)
	if chain == "" || secret == "" {
		return refuse(400, reasonRequired, "Required fields 'resource.certificate' and 'resource.privateKey' not specified")
	}
	pair, err := tls.X509KeyPair([]byte(chain), []byte(secret))
	if err != nil {
		if block, _ := pem.Decode([]byte(chain)); block == nil {
			return refuse(400, "sslCertificateCouldNotParseCert", "The SSL certificate could not be parsed.")
		}
		return refuse(400, "sslCertificateKeyMismatch", "The private key could not be parsed or does not match the SSL certificate.")
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return refuse(400, "sslCertificateCouldNotParseCert", "The SSL certificate could not be parsed.")
		}
	}
	d.doc["certificate"], d.doc["privateKey"] = chain, secret
	d.doc["selfManaged"] = map[string]any{"certificate": chain}
	d.doc["expireTime"] = pair.Leaf.NotAfter.Format(time.RFC3339)
	if len(pair.Leaf.DNSNames) > 0 {
		names := make([]any, len(pair.Leaf.DNSNames))
		for i, name := range pair.Leaf.DNSNames {
			names[i] = name
		}
		d.doc["subjectAlternativeNames"] = names
	}
	return nil
}

// pair returns the key pair of a stored certificate, which is parsed only one time.
func (s *Server) pair(k key) *tls.Certificate {
	c := typed[compute.SslCertificate](s, k)
	if c == nil {
		return nil
	}
	if p, ok := s.pairs[c]; ok {
		return p
	}
	p, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.PrivateKey))
	if err != nil {
		return nil // impossible: it was checked at the insert
	}
	s.pairs[c] = &p
	return &p
}

func keyPair(doc document) (chain, secret string) {
	if managed, ok := doc["selfManaged"].(map[string]any); ok && doc.text("certificate") == "" {
		doc = managed
	}
	return doc.text("certificate"), doc.text("privateKey")
}
