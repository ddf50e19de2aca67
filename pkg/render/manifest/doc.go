// Package manifest reads the files of a revision and makes objects of the manifests in them.
//
// Files are one revision's files while it is rendered: each is read once, and what all of
// them say is held to the limits of a revision. Parse opens a file's documents and Lists,
// Objects a whole folder without a kustomization. What comes out of either, or out of
// kustomize, goes through Object, which refuses what no cluster should be asked to run: a
// name that no API server takes, and what controllers write into objects that were read
// out of a cluster. An Error names the file, the line and the edit that mends it.
//
// It knows neither kustomizations nor apps and clusters: those are its users', kustomize
// and render.
package manifest
