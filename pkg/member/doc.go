// Package member is one member cluster as fedsync deals with it.
//
// Client is the way to it: every request that is not a probe goes through one
// HTTP client, which follows no redirect. Kinds are what its API server serves,
// and tell a kind that does not exist from one that cannot be looked up now.
package member
