// Package shortcut builds overlays that only patch one base, or add labels, annotations,
// images and replica counts to it, without kustomize's whole build: it gives the objects
// concerned to kustomize's own plugins, and shares all others with the base. It declines
// where it is not certain of what the whole build makes; then that is to be run, which
// also words all errors.
//
// What was read and built comes in as values: a Layer for each kustomization, and the
// Result of the base. A Result goes out. It reads no files.
//
// Why it may be done: kustomize builds an overlay by accumulating the base's
// objects, patching them, and then mending references to objects whose name has
// changed. The last step looks only at objects that carry an earlier name. Merge
// patches leave none, nor does a pure base, so patching is all that happens, and
// a patch sees nothing but the object it is applied to. A JSON patch leaves the
// earlier name, equal to the present one; the step then writes nothing but a
// namespace into maps that refer to the object, which is why no such map may be
// there. The tests of package kustomize compare what comes of it with kustomize's own
// build, byte for byte.
package shortcut
