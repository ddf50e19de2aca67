//go:build tools

// Package etcd pins the store that all sandbox clusters share.
package etcd

import _ "go.etcd.io/etcd/server/v3"
