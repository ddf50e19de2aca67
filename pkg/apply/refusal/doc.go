// Package refusal says why an object could not be made as Git has it.
//
// In goes the error of a request to an API server; out comes an [Error] with a class, the
// object, its file and a remedy. It also says what follows from the class: whether another
// try may do better, whether the request may have been carried out although it failed,
// and which refusals have one reason and so share a pause. Nothing in it is of a Secret's
// content, however much of that the API server quotes.
package refusal
