// Package identity identifies a source among all others that may want to write to the
// same clusters.
//
// A source is a repository, a ref, a folder and a federation's name. Its digest is part
// of inventories, of claims and of names on Compute Engine, and of the names of files
// in the cache folder. It must therefore stay the same from one version to the next.
package identity
