// Package agenda computes what is due in a cluster: a pure function of its state and
// the time.
//
// [At] reads all rows. It returns the tasks that may begin now, in order, and the time
// at which more become due. What other objects depend on comes first, what leads
// traffic to them comes last, and deletions go in the reverse order (see object.Rank).
// Refused objects are tried again after growing pauses, and all objects refused for one
// reason share a pause. A node port that changes hands is given up before it is taken.
package agenda
