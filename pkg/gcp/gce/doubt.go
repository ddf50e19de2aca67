package gce

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// A successful list may still be incomplete. Compute Engine does not delete a resource
// that another one refers to. So a resource that one of ours refers to, and that a list
// lacks, is read by itself: if it exists, the list is incomplete.

// doubt marks a listing as failed if it lacks an existing resource.
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
		// One proof is enough, and so is one inconclusive answer.
		if _, _, err := c.fetch(ctx, ref, c.project); !absent(err) {
			l.err = fmt.Errorf("their list lacks %s, which is in use", ref.Name)
		}
	}
}

// references returns the resources that the owner's resources refer to, of the kinds that
// serve, sorted.
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
