package gcetest

import (
	"reflect"

	compute "google.golang.org/api/compute/v1"
)

const (
	httpProxiesSegment  = "targetHttpProxies"
	httpsProxiesSegment = "targetHttpsProxies"
)

// maxCertificates is the API's limit on the certificates of an HTTPS proxy.
const maxCertificates = 15

func targetHTTPProxies() *collection {
	c := collectionOf[compute.TargetHttpProxy](httpProxiesSegment, httpProxiesSegment, "targetHttpProxy", "global")
	c.lock = "fingerprint"
	c.refs = []refField{{"urlMap", []string{mapsSegment}}}
	c.check = checkProxy
	c.readable().aggregated().writable("patch")
	return c.proxyCall("setUrlMap", reflect.TypeFor[compute.UrlMapReference](), setURLMap)
}

func targetHTTPSProxies() *collection {
	c := collectionOf[compute.TargetHttpsProxy](httpsProxiesSegment, httpsProxiesSegment, "targetHttpsProxy", "global")
	c.lock = "fingerprint"
	c.refs = []refField{{"urlMap", []string{mapsSegment}}, {"sslCertificates.*", []string{certificatesSegment}}}
	c.check = checkHTTPSProxy
	c.readable().aggregated().writable("patch")
	c.proxyCall("setUrlMap", reflect.TypeFor[compute.UrlMapReference](), setURLMap)
	return c.proxyCall("setSslCertificates", reflect.TypeFor[compute.TargetHttpsProxiesSetSslCertificatesRequest](), setCertificates)
}

// proxyCall adds a method of the old form, whose path has no "global".
func (c *collection) proxyCall(name string, body reflect.Type, serve func(*request) (any, *refusal)) *collection {
	return c.add(&method{
		name: name, verb: "POST", path: "projects/{project}/" + c.segment + "/{name}/" + name,
		body: body, query: mutationQuery, serve: serve,
	})
}

func checkProxy(d *draft) *refusal {
	ref := d.doc.text("urlMap")
	if ref == "" {
		return refuse(400, reasonRequired, "Required field 'resource.urlMap' not specified")
	}
	k, _ := parseKey(ref, d.key.project)
	for _, rule := range d.server.rulesTo(d.key) {
		if refused := d.server.sameScheme(d.server.resources[k].now.doc, rule.LoadBalancingScheme); refused != nil {
			return refused
		}
	}
	return nil
}

func checkHTTPSProxy(d *draft) *refusal {
	certificates, _ := d.doc["sslCertificates"].([]any)
	if n := len(certificates); n == 0 || n > maxCertificates {
		return badField("sslCertificates", n, "From 1 to %d certificates are required.", maxCertificates)
	}
	seen := map[string]bool{}
	for _, c := range certificates {
		ref, _ := c.(string)
		if seen[ref] {
			return badField("sslCertificates", ref, "The certificate is given twice.")
		}
		seen[ref] = true
	}
	return checkProxy(d)
}

func setURLMap(q *request) (any, *refusal) {
	return q.setField("setUrlMap", "urlMap", q.body["urlMap"])
}

func setCertificates(q *request) (any, *refusal) {
	return q.setField("setSslCertificates", "sslCertificates", q.body["sslCertificates"])
}

// setField accepts a document with a new value of one field. It needs no fingerprint.
func (q *request) setField(kind, field string, value any) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	doc := r.now.doc.clone()
	doc[field] = deepCopy(value)
	if value == nil {
		delete(doc, field)
	}
	d := &draft{server: q.server, key: q.key, old: r.now.doc, doc: doc}
	if refused := q.collection.resolve(d); refused != nil {
		return nil, refused
	}
	if refused := q.collection.check(d); refused != nil {
		return nil, refused
	}
	return q.server.replace(q, r, d.doc, kind), nil
}
