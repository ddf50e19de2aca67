// Package doctor examines a set-up, whatever state it is in.
//
// [Examine] reads the repository and the kubeconfig, has the clusters asked by the function
// that it is given, and asks them what our credentials allow. What is broken is a finding,
// and what does not depend on it is examined all the same. It decides what a single look
// can say where a daemon would wait, and changes nothing.
package doctor
