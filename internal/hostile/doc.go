// Package hostile is the corpus of repositories that would harm fedsync if it let
// them: that reach outside of themselves, ask for addresses, name programs, take
// memory and time without end, or fool whoever reads a message.
//
// A Case is one such repository. It says what must become of it: a refusal whose
// message matches, or that it does no harm. Cases are written by functions, object
// by object, since the worst of them unfold to terabytes and are a few kilobytes
// as a pack. The tests of this package give each to the real program and measure
// it from outside. Nothing else may import the package but tests.
package hostile
