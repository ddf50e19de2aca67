// Package objectstore is an API server of Kubernetes in memory, for tests that
// run hundreds of histories of clusters in virtual time.
//
// A [Store] is an http.RoundTripper. client-go works over it unchanged:
//
//	store := objectstore.New(objectstore.Options{Name: "asia"})
//	client, err := dynamic.NewForConfig(store.Config())
//
// It opens no connection and needs no goroutine of its own: what waits, waits on
// channels and timers, so that everything runs in a bubble of testing/synctest.
//
// What it answers is meant to be what kube-apiserver answers: managedFields come
// from the packages and the schema that kube-apiserver uses, and so do conflicts,
// validation of metadata and defaults of the kinds that the tests need. The test
// of that is the conformance table, which runs the same requests against a store
// and against a real API server and compares the answers. A case belongs there
// before a test relies on it.
//
// What is not there: authentication and authorization (a [Fault] refuses instead),
// dry runs, validation of most specs, conversion between versions of built-in
// kinds, tables and protobuf. Controllers are few and simple; see controllers.go.
package objectstore
