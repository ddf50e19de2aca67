// Package objectstore is an in-memory Kubernetes API server for tests that run hundreds
// of histories of clusters in virtual time.
//
// A [Store] is an http.RoundTripper. client-go works over it unchanged:
//
//	store := objectstore.New(objectstore.Options{Name: "asia"})
//	client, err := dynamic.NewForConfig(store.Config())
//
// It opens no connection and needs no goroutine of its own. All waiting is on channels
// and timers, so that everything runs in a bubble of testing/synctest.
//
// Its answers are meant to equal kube-apiserver's. managedFields come from the packages
// and the schema of kube-apiserver, and so do conflicts, validation of metadata and
// defaults of the kinds that tests need. The conformance table verifies this: it runs the
// same requests against a store and a real API server and compares the answers. A case
// belongs there before a test relies on it.
//
// Not supported are authentication and authorization (a [Fault] refuses instead), dry
// runs, validation of most specs, conversion between versions of built-in kinds, tables
// and protobuf. Controllers are few and simple; see controllers.go.
package objectstore
