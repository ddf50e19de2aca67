package gcp

import (
	"strings"
	"time"
)

// shares is how long operations on a collection take, in tenths of the slowest
// operation. They have roughly Google's proportions, but not its times, which are at
// least ten times as long.
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

// defaultShare is the share of all other collections.
const defaultShare = 5

// OperationTimes returns how long operations take, by collection, if the slowest take a
// given time.
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
