// Package request makes the requests to one cluster's API server.
//
// A [Client] gives each request its time, makes no write while the cluster may not be
// written to ([Write]), lists page by page, knows how kinds are served, and finds out who
// has a node port. It remembers nothing.
package request
