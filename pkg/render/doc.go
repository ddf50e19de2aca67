// Package render turns the files of a revision into the objects that every
// member cluster should run.
//
// Its input is a Snapshot and a Federation, its output one Bundle for each
// cluster and app. It reads files and writes none, uses no network, runs no
// program, and returns equal output for equal input, so that two renderings of
// one revision can be compared. Its neighbours are source, which produces the
// Snapshot, and schedule, which consumes the Bundles.
//
// A Renderer reads the layout of each app's folder and selects the folder for each
// cluster: its overlay, the base, or the app's folder itself. Package kustomize builds
// it, as a flight that other clusters with equal files share: a build is identified by
// the digests of the folders that it reads, so nothing is built twice. The built objects
// are then assigned to each cluster, in the namespace default if they name none, unless
// two apps claim one object or the revision exceeds a limit. Problems become findings.
// Package manifest defines what a valid object is. Package worker runs a Renderer in a
// process that can be killed.
package render
