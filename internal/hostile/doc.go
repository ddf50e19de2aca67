// Package hostile is a corpus of repositories that try to harm fedsync: they
// reach outside themselves, call addresses, name programs, use endless memory and
// time, or mislead readers of messages.
//
// A Case is one such repository and the expected result: a refusal whose message
// matches, or no harm. Cases are written by functions, object by object, since the
// worst of them unfold to terabytes but are a few kilobytes as a pack. The tests
// of this package run the real program on each and measure it from outside. Only
// tests may import the package.
package hostile
