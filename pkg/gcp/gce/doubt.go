package gce

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// A list may lack what there is, and be a success all the same. Compute Engine deletes
// nothing that something else points at: what a resource of ours points at, and a list
// lacks, is asked for by itself. If it is there, the list is not all that there is.

// doubt marks those listings as failed that lack something which is there.
func (c *Client) doubt(ctx context.Context, listings []listing, owner gcp.Owner) {
	at, known := map[gcp.Kind]*listing{}, map[gcp.ID]bool{}
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
func references(listings []listing, owner gcp.Owner) []gcp.ID {
	var all []gcp.ID
	for _, l := range listings {
		for _, r := range l.resources {
			if owner.Owns(r.Mark) {
				all = append(all, r.References()...)
			}
		}
	}
	all = slices.DeleteFunc(all, func(id gcp.ID) bool {
		switch id.Kind {
		case gcp.KindGroup, gcp.KindService, gcp.KindURLMap, gcp.KindHTTPProxy, gcp.KindHTTPSProxy:
			return strings.Contains(id.Name, "/") // the URL of something else
		case gcp.KindAddress, gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindCertificate, gcp.KindRule:
		}
		return true
	})
	slices.SortFunc(all, gcp.ID.Compare)
	return slices.Compact(all)
}
