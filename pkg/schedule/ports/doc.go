// Package ports decides which node port each port of each Service has.
//
// Decide is pure. Its input is the Services and what is known about each cluster. Its
// output is a number for every port, the same in all clusters that run the Service, and
// which ports wait or are refused, with the reason. A number that is in use stays, and the
// choice for given input never changes.
package ports
