// Package request makes the requests to one cluster's API server.
//
// A [Client] limits the time of each request, makes no write while writes are not
// allowed ([Write]), lists page by page, finds how kinds are served, and finds the
// holder of a node port. It remembers nothing.
package request
