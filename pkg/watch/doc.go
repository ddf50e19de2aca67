// Package watch holds the watches of one cluster.
//
// The set of wanted watches goes in. Events come out: every object of a list, and every
// change after it. A watch that ends is resumed where it ended. If that is impossible,
// the objects are listed again, and missed changes appear as changes.
package watch
