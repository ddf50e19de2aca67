// Package filewatch calls a function when files change, or anything in a folder with all
// that is below it. Which those are may change while it runs.
package filewatch
