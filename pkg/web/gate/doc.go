// Package gate serves HTTP to strangers: it bounds how many connections are open, in total
// and from one address, and how long a request may take.
//
// It accepts every client. When there are too many, it closes the connection that has been
// quiet the longest. The handler decides what is answered.
package gate
