// Package render turns the files of a revision into the objects that every
// member cluster should run.
//
// A Snapshot and a Federation come in, one Bundle for each cluster and app goes
// out. It reads files and writes none, talks to no network, runs no program, and
// gives equal output for equal input, so that two renderings of one revision can
// be compared. Its neighbours are source, which gives the Snapshot, and schedule,
// which takes the Bundles.
//
// A Renderer looks at how each app's folder is laid out and asks for the folder that each
// cluster runs: its overlay, the base, or the app's folder itself. Package kustomize
// builds it, as a flight that other clusters with equal files share: a build is known by
// the digests of the folders that it reads, so nothing is built twice. What was built is
// then given to each cluster, in the namespace default where it names none, unless two
// apps dispute an object or the revision has more than it may; and what there is to
// report becomes findings. Package manifest says what an object has to be. Package
// worker has a Renderer in a process that can be ended.
package render
