package gcetest

import (
	"fmt"

	compute "google.golang.org/api/compute/v1"
)

func addresses() *collection {
	c := collectionOf[compute.Address]("globalAddresses", "addresses", "address", "global")
	c.output = []string{"status", "users", "prefixLength"}
	c.check = checkAddress
	c.view = viewAddress
	return c.readable().writable().labeled()
}

func checkAddress(d *draft) *refusal {
	d.doc.setDefault("addressType", "EXTERNAL")
	d.doc.setDefault("networkTier", "PREMIUM")
	d.doc.setDefault("ipVersion", "IPV4")
	for field, want := range map[string]string{"addressType": "EXTERNAL", "networkTier": "PREMIUM", "ipVersion": "IPV4"} {
		if got := d.doc.text(field); got != want {
			return badField(field, got, "The stand-in supports only global addresses with %s %s.", field, want)
		}
	}
	asked := d.doc.text("address")
	if asked == "" {
		d.doc["address"] = d.server.freeAddress()
		return nil
	}
	if d.server.addressOf(d.key.project, asked) != nil {
		return badField("address", asked, "Specified IP address is already reserved.")
	}
	// It may be the ephemeral address of a forwarding rule, which becomes reserved.
	if len(d.server.rulesWith(asked, d.key.project)) == 0 {
		return badField("address", asked, "Specified IP address is not available.")
	}
	return nil
}

// freeAddress returns an address that was never used before: from TEST-NET-3, which is
// not routed, and then from the range for benchmarks.
func (s *Server) freeAddress() string {
	s.nextAddress++
	n := s.nextAddress + 9 // the first is 203.0.113.10
	if n < 255 {
		return fmt.Sprintf("203.0.113.%d", n)
	}
	n -= 254
	return fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255)
}

// addressOf returns the reserved address with an IP; nil if there is none.
func (s *Server) addressOf(project, ip string) *resource {
	for _, r := range s.resources {
		if r.key.collection == "addresses" && r.key.project == project &&
			(r.now.doc.text("address") == ip || r.op != nil && r.next.doc.text("address") == ip) {
			return r
		}
	}
	return nil
}

// rulesWith returns the forwarding rules of a project on an IP, including those that are
// being created.
func (s *Server) rulesWith(ip, project string) []*resource {
	return s.sorted(func(r *resource) bool {
		return r.key.collection == rulesSegment && r.key.project == project &&
			(r.now.doc.text("IPAddress") == ip || r.op != nil && r.next.doc.text("IPAddress") == ip)
	})
}

func viewAddress(s *Server, r *resource, doc document) {
	doc["status"] = "RESERVED"
	var users []any
	for _, rule := range s.rulesWith(doc.text("address"), r.key.project) {
		users = append(users, rule.key.url())
	}
	if len(users) > 0 {
		doc["status"], doc["users"] = "IN_USE", users
	}
}
