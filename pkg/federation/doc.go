// Package federation defines the types that every stage shares: what a user
// writes (Federation, Cluster, App), what is read (Revision, Snapshot), the
// desired state (Object, Bundle, Plan), the actual state (Facts, Observation) and
// the outcome (Change, Finding).
//
// They are plain values. A stage takes some, returns others, and retains only what
// its next call needs, so each stage can be tested with hand-made input.
// The package does no I/O and imports none of the stages. The tags of the types define how
// package fedfile encodes them.
package federation
