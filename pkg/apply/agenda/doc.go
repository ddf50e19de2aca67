// Package agenda computes what is due in a cluster: a pure function of its state and the
// time.
//
// [At] looks over all rows and gives the tasks that may begin now, in their order, and when
// time alone brings others. What others stand on comes first, what leads traffic to them
// comes last, and deletions go the other way (see object.Rank). What was refused is tried
// again with growing pauses, one for all that are refused for one reason. A node port that
// changes hands is given up before it is taken.
package agenda
