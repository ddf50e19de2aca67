// Package wire makes the parts that the settings name.
//
// Settings go in, as package config read them, and one part comes out: the reader of the
// repository, the renderer, the forge, the client of Compute Engine or of one cluster. It
// chooses and asks nobody yet: what a part does is its own package's, and what runs when
// is that of packages daemon and doctor and of the commands.
package wire
