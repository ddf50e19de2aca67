// Package gcetest is a stand-in for Compute Engine. It answers the compute/v1 calls that
// a controller of global load balancers makes, as strictly as the real service does, and
// sends real HTTP traffic through the load balancers that these calls build.
//
// It follows Google Cloud's documentation and discovery document, since the real service
// was not available when it was written:
//
//   - Every mutation is checked when it is accepted and returns an operation that
//     goes PENDING, RUNNING, DONE. An inserted resource can be read from RUNNING on and
//     referred to when DONE; a change shows at DONE.
//   - Request ids make a repeat harmless. Fingerprints, immutable fields, names,
//     references and the order of deletion are enforced with the documented codes
//     and reasons. Fields and query parameters that the API does not have are refused.
//   - Health is computed: an endpoint is healthy only while the firewall rules of its
//     network admit both ranges of the probers to its machine, the machine exists with
//     that address, and the node answers the health check through [Options.Dial].
//   - Traffic, by [Server.TrafficProxy], follows forwarding rule, target proxy, URL
//     map and backend service to a healthy endpoint, over TLS if the proxy is for HTTPS.
//
// It differs as follows. There is no authentication: testIamPermissions grants everything
// except [Options.Denied], and a 403 comes from a [Fault]. The test sets networks,
// subnetworks, zones and instances; there are no calls for that. All regions are one: the
// share of a backend is its capacity, wherever it is. A new URL map serves at once instead
// of after minutes. Managed certificates, regional and internal load balancers and IPv6
// are refused. Fields of CDN, IAP and Cloud Armor are stored or refused and have no
// effect. The fields parameter is accepted and has no effect either.
//
// Three answers are guesses, since no document settles them: detaching an endpoint that is
// not in the group is a 400, the endpoints of a deleted machine stay in their group, and a
// service without a healthy endpoint answers 502 under either scheme.
package gcetest
