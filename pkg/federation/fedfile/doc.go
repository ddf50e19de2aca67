// Package fedfile reads and writes the files that hold the values of package
// federation: fedsync.yaml and files of facts.
//
// Bytes go in, and a Federation or Facts come out, or every mistake with its line.
// Reading is strict and bounded: the content is untrusted. How a type is written in a
// file is defined by the tags of its fields, which form.go describes; the JSON Schemas
// beside it are what editors and readers validate with.
package fedfile
