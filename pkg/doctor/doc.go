// Package doctor examines an installation, whatever state it is in.
//
// [Examine] reads the repository and the kubeconfig, queries the clusters through a function
// that it is given, and asks them what the credentials allow. Each broken part is a finding,
// and all parts that do not depend on it are still examined. Package doctor decides what one
// examination reports where a daemon would wait. It changes nothing.
package doctor
