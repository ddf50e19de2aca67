// Package ports decides which node port each port of each Service has.
//
// Decide is pure: in come the Services and what is known of each cluster, out go a
// number for every port, the same in all clusters that run the Service, and what waits
// or is refused, with the reason. A number that is in use stays; numbers that were given
// out are never chosen otherwise.
package ports
