// Package access asks a cluster what fedsync may do there, and reports what it may not.
package access
