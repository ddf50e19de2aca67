// Package gcetest is a stand-in for Compute Engine: the compute/v1 calls that a
// controller of global load balancers makes, answered as strictly as the real
// service answers them, and real HTTP traffic through what was built by them.
//
// What is as on Google Cloud, as far as its documentation and discovery document
// say, since the real service was not at hand when this was written:
//
//   - Every mutation is checked when it is accepted and returns an operation that
//     goes PENDING, RUNNING, DONE. What it inserts can be read from RUNNING on and
//     referred to once DONE; what it changes shows at DONE.
//   - Request ids make a repeat harmless; fingerprints, immutable fields, names,
//     references and the order of deletion are enforced with the documented codes
//     and reasons. Fields and query parameters that the API does not have are refused.
//   - Health is computed: an endpoint is healthy only while the firewall rules of its
//     network admit both ranges of the probers to its machine, the machine exists with
//     that address, and the node answers the health check through [Options.Dial].
//   - Traffic, by [Server.TrafficProxy], follows forwarding rule, target proxy, URL
//     map and backend service to a healthy endpoint, over TLS where the proxy is one
//     for HTTPS.
//
// What is not: there is no authentication, so testIamPermissions grants everything
// unless [Options.Denied] says otherwise, and a 403 comes from a [Fault]. Networks,
// subnetworks, zones and instances are set by the test, not by calls. All regions
// are one: the share of a backend is its capacity, wherever it is. The new URL map
// serves at once instead of minutes later. Managed certificates, regional and internal
// load balancers and IPv6 are refused; fields of CDN, IAP and Cloud Armor are stored
// or refused and have no effect. The fields parameter is accepted and has none either.
//
// Three answers are guesses, since no document settles them: detaching an endpoint
// that is not in the group is 400, the endpoints of a machine that was deleted stay in
// their group, and a service without a healthy endpoint answers 502 under either
// scheme.
package gcetest
