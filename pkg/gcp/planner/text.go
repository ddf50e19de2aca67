package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Difference describes the fields in which an observed spec differs, and what changes
// in lists.
func Difference(fields []string, want, now gcp.Spec) string {
	var texts []string
	for _, field := range fields {
		text := field
		if detail := listChange(field, want, now); detail != "" {
			text += ": " + detail
		}
		texts = append(texts, text)
	}
	return gcp.DiffersIn + strings.Join(texts, "; ")
}

// listChange describes what is added to, removed from and changed in the list in a
// field.
func listChange(field string, want, now gcp.Spec) string {
	switch w := want.(type) {
	case gcp.Service:
		if o, ok := now.(gcp.Service); ok && field == "backends" {
			return backendChange(w.Backends, o.Backends)
		}
	case gcp.Proxy:
		if o, ok := now.(gcp.Proxy); ok && field == "sslCertificates" {
			return addsAndRemoves(names(w.Certificates), names(o.Certificates))
		}
	case gcp.Firewall:
		o, _ := now.(gcp.Firewall)
		switch field {
		case "targetTags":
			return addsAndRemoves(w.Tags, o.Tags)
		case "sourceRanges":
			return addsAndRemoves(w.Ranges, o.Ranges)
		case "allowed":
			return addsAndRemoves(decimals(w.Ports), append(decimals(o.Ports), o.Extra...))
		}
	case gcp.URLMap:
		if o, ok := now.(gcp.URLMap); ok && field == "hostRules" {
			return addsAndRemoves(hostNames(w.Hosts), hostNames(o.Hosts))
		}
	}
	return ""
}

func backendChange(want, now []gcp.Backend) string {
	has := map[gcp.ID]gcp.Backend{}
	for _, b := range now {
		has[b.Group] = b
	}
	var wanted, had, changes []string
	for _, b := range gcp.SortedBackends(want) {
		wanted = append(wanted, groupName(b.Group))
		o, ok := has[b.Group]
		if !ok {
			continue
		}
		if b.Capacity != o.Capacity {
			changes = append(changes, fmt.Sprintf("%s to capacity %g", groupName(b.Group), b.Capacity))
		}
		if b.MaxRate != o.MaxRate {
			changes = append(changes, fmt.Sprintf("%s to rate %g", groupName(b.Group), b.MaxRate))
		}
	}
	for _, b := range now {
		had = append(had, groupName(b.Group))
	}
	text := addsAndRemoves(wanted, had)
	if len(changes) > 0 {
		text = strings.TrimPrefix(text+", sets "+untrusted.Some(changes, 3), ", ")
	}
	return text
}

func addsAndRemoves(want, now []string) string {
	var texts []string
	if added := without(want, now); len(added) > 0 {
		texts = append(texts, "adds "+untrusted.Some(added, 3))
	}
	if removed := without(now, want); len(removed) > 0 {
		texts = append(texts, "removes "+untrusted.Some(removed, 3))
	}
	return strings.Join(texts, ", ")
}

// without returns the elements of a list that another one lacks, sorted and unique.
func without[T cmp.Ordered](list, other []T) []T {
	return slices.DeleteFunc(gcp.SortedSet(list), func(e T) bool { return slices.Contains(other, e) })
}

func groupName(id gcp.ID) string {
	if id.Zone == "" {
		return id.Name
	}
	return id.Zone + "/" + id.Name
}

func names(ids []gcp.ID) []string {
	var list []string
	for _, id := range ids {
		list = append(list, id.Name)
	}
	return list
}

func decimals(numbers []int32) []string {
	var list []string
	for _, n := range numbers {
		list = append(list, strconv.Itoa(int(n)))
	}
	return list
}

func hostNames(hosts []gcp.HostRule) []string {
	var list []string
	for _, h := range hosts {
		list = append(list, h.Host)
	}
	return list
}

// whyLeft returns why a resource of ours is left over.
func (p *planner) whyLeft(o gcp.Resource) string {
	if cluster := o.Mark.Cluster; cluster != "" && !p.clusters[cluster] {
		return "left over: cluster " + cluster + " has left"
	}
	return "left over: no Ingress needs it"
}
