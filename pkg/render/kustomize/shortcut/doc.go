// Package shortcut builds overlays that only patch one base, or add labels, annotations,
// images and replica counts to it, without kustomize's full build. It passes the
// affected objects to kustomize's own plugins, and shares all others with the base. If
// the result might differ from the full build, it declines. Then the full build must be
// run, which also produces all errors.
//
// Its input is a Layer for each kustomization and the Result of the base, its output
// a Result. It reads no files.
//
// Why this is correct: kustomize builds an overlay by accumulating the base's
// objects, patching them, and then updating references to objects whose name has
// changed. The last step affects only objects with an earlier name. Merge patches and
// a pure base leave none, so only the patching remains, and a patch depends only on
// the object that it is applied to. A JSON patch records an earlier name, equal to
// the present one. The last step then only writes a namespace into maps that refer to
// the object, so there must be no such map. The tests of package kustomize compare
// the results with kustomize's own build, byte for byte.
package shortcut
