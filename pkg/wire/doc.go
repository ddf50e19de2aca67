// Package wire creates the parts that the settings name.
//
// Its input is the settings that package config read. Its output is one part: the reader
// of the repository, the renderer, the forge, or the client of Compute Engine or of one
// cluster. It selects and configures parts, but sends no requests. Packages daemon and
// doctor and the commands run the parts.
package wire
