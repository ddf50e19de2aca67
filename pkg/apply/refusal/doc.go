// Package refusal explains why an object could not be applied as it is in Git.
//
// It turns the error of a request to an API server into an [Error] with a class, the
// object, its file and a remedy. The class also decides whether another try may
// succeed, whether the failed request may have been carried out, and which refusals
// have one reason and so share a pause. An Error never contains a Secret's content,
// however much of it the API server quotes.
package refusal
