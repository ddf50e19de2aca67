package planner

// For the tests outside the package.
var (
	EndpointSet = endpointSet
	Users       = users
)
