// Package federation holds the words that every stage shares: what a user
// writes (Federation, Cluster, App), what is read (Revision, Snapshot), what
// should be (Object, Bundle, Plan), what is (Facts, Observation) and what came
// of it (Change, Finding).
//
// They are plain values. A stage takes some, gives some, and keeps none that
// the next call cannot do without, so each stage is tested by hand-made input.
// The package does no I/O and knows none of the stages. The tags of the types say how
// package fedfile reads and writes them.
package federation
