// Package access asks a cluster what fedsync may do there, and names what it may not.
package access
