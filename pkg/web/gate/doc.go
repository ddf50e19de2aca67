// Package gate serves HTTP to strangers: it bounds how many connections are open, in all
// and from one address, and for how long a request may take.
//
// Every client is let in; for one that is too many, the connection that was quiet for the
// longest is closed. What is answered is the handler's.
package gate
