package gcp

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A list may lack what there is, and be a success all the same. Compute Engine deletes
// nothing that something else points at: what a resource of ours points at, and a list
// lacks, is asked for by itself. If it is there, the list is not all that there is.

// doubt marks those listings as failed that lack something which is there.
func (c *Compute) doubt(ctx context.Context, listings []listing, owner Owner) {
	at, known := map[Kind]*listing{}, map[ID]bool{}
	for i := range listings {
		at[listings[i].kind] = &listings[i]
		for _, r := range listings[i].resources {
			known[r.ID] = true
		}
	}
	for _, ref := range references(listings, owner) {
		l := at[ref.Kind]
		if l == nil || l.err != nil || known[ref] {
			continue
		}
		// One proof is enough, and so is one answer that is none.
		if _, _, err := c.fetch(ctx, ref, c.project); !absent(err) {
			l.err = fmt.Errorf("their list lacks %s, which is in use", ref.Name)
		}
	}
}

// references are what resources of the owner's point at, of the kinds that serve,
// sorted.
func references(listings []listing, owner Owner) []ID {
	var all []ID
	for _, l := range listings {
		for _, r := range l.resources {
			if owner.owns(r.Mark) {
				all = append(all, r.References()...)
			}
		}
	}
	all = slices.DeleteFunc(all, func(id ID) bool {
		switch id.Kind {
		case KindGroup, KindService, KindURLMap, KindHTTPProxy, KindHTTPSProxy:
			return strings.Contains(id.Name, "/") // the URL of something else
		case KindAddress, KindFirewall, KindHealthCheck, KindCertificate, KindRule:
		}
		return true
	})
	slices.SortFunc(all, ID.Compare)
	return slices.Compact(all)
}
