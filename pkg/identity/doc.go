// Package identity tells one source from any other that may want to write to the same
// clusters.
//
// A source is a repository, a ref, a folder and a federation's name. Its digest is part of
// inventories, of claims and of names on Compute Engine, and names the files in the cache
// folder, so it must stay what it is from one version to the next.
package identity
