package balancer

// For the tests outside the package.
const (
	DefaultRate  = defaultRate
	MaxGroupRate = maxGroupRate
	MaxGroups    = maxGroups
)
