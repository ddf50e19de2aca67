// Package manifest reads the files of a revision and turns the manifests in them into
// objects.
//
// Files holds one revision's files while it is rendered. Each file is read once, and
// the content of all files is held to the limits of a revision. Parse reads a file's
// documents and Lists, Objects reads a whole folder without a kustomization. Object
// validates the result of either, or of kustomize. It refuses what must not be applied to
// any cluster: names that no API server accepts, and fields that controllers set, which
// are in objects exported from a cluster. An Error names the file, the line and the edit
// that fixes it.
//
// It does not know kustomizations, apps and clusters, which belong to its users,
// kustomize and render.
package manifest
