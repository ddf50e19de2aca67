// Package fedfile reads and writes the files that hold the values of package
// federation: fedsync.yaml and files of facts.
//
// Its input is bytes, and its output is a Federation or Facts, or every mistake with its line.
// Reading is strict and bounded, since the content is untrusted. The tags of a type's fields,
// which form.go describes, define its encoding. Editors and this package validate with the
// same JSON Schemas.
package fedfile
