package gcp

import (
	"strings"
	"time"
)

// shares are how long operations on a collection take, in tenths of the slowest's.
// They keep the order of magnitude between kinds, not Google's times, which are
// ten times as long and more.
var shares = map[string]int{
	"globalAddresses":       3,
	"firewalls":             6,
	"healthChecks":          3,
	"networkEndpointGroups": 5,
	"backendServices":       8,
	"urlMaps":               5,
	"sslCertificates":       3,
	"targetHttpProxies":     5,
	"targetHttpsProxies":    5,
	"globalForwardingRules": 10,
	"instanceGroups":        5,
}

// defaultShare is that of collections without one.
const defaultShare = 5

// OperationTimes returns how long an operation takes by its collection, where the
// slowest take a given time.
func OperationTimes(slowest time.Duration) map[string]time.Duration {
	times := make(map[string]time.Duration, len(shares))
	for collection, share := range shares {
		times[collection] = slowest * time.Duration(share) / 10
	}
	return times
}

// operationTime returns how long an operation of a method, such as
// "backendServices.insert", takes.
func operationTime(slowest time.Duration) func(method string) time.Duration {
	times := OperationTimes(slowest)
	return func(method string) time.Duration {
		collection, verb, _ := strings.Cut(method, ".")
		took, ok := times[collection]
		if !ok {
			took = slowest * defaultShare / 10
		}
		if verb == "setLabels" {
			took /= 2
		}
		return took
	}
}
