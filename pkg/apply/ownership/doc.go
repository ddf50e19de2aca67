// Package ownership finds which fields of a live object are ours, from its
// managedFields.
//
// Its input is a live object as an API server returns it. Its output is a View, which
// holds digests of our fields and the names of fields that users added. Comparing two
// Views shows what another client changed. Comparing a View and a rendered object shows
// whether an apply would change anything. For adoption, the package rewrites lists of
// entries.
//
// Everything here is a pure function of its arguments: no request, no lock, no clock.
// Package apply makes the requests.
package ownership
