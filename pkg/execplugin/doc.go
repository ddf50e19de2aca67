// Package execplugin gets credentials from the program that a kubeconfig names under
// exec.
//
// Its input is the kubeconfig's description of the program; its output is credentials
// on the requests of one client. A program that hangs, fails or prints messages delays
// only the requests that wait for it, and those no longer than their contexts allow.
// Its messages are in the error and not on our standard error.
package execplugin
