// Package execplugin gets credentials from the program that a kubeconfig names under exec.
//
// In goes what the kubeconfig says of the program; out come credentials on the requests of
// one client. A program that hangs, fails or talks holds up only the requests that wait for
// it, no longer than they may wait, and what it says is in the error and not on our
// standard error.
package execplugin
