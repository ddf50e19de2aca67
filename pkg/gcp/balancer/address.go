package balancer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// assignAddresses finds the address of each front, and refuses the fronts whose address
// is not available.
func (b *builder) assignAddresses() {
	taken := map[gcp.ID]*front{}
	for _, f := range b.inOrderOfUse() {
		name := addressName(f)
		if name == "" {
			f.address = b.frontID(f, gcp.KindAddress, "")
			continue
		}
		f.address = gcp.ID{Kind: gcp.KindAddress, Name: name}
		if other := taken[f.address]; other != nil {
			b.refuse(f, federation.FindingAddress, "", fmt.Sprintf("address %s is already used by %s", name, other.ref),
				"give each Ingress an address of its own, or write both as rules of one Ingress")
			continue
		}
		taken[f.address] = f
		b.judgeAddress(f)
	}
}

// addressName returns the address name that the Ingress sets; empty if it sets none.
func addressName(f *front) string {
	return cmp.Or(f.ingress.Annotations[annotationOwnAddress], f.ingress.Annotations[AnnotationAddress])
}

// inOrderOfUse returns the active fronts, with those that already serve first: if two
// want one address, the one that has it keeps it.
func (b *builder) inOrderOfUse() []*front {
	var used, unused []*front
	for _, f := range b.fronts {
		switch {
		case !f.active():
		case len(b.frontResources(f, gcp.KindRule)) > 0:
			used = append(used, f)
		default:
			unused = append(unused, f)
		}
	}
	return append(used, unused...)
}

// frontResources returns the resources of one kind that belong to an Ingress.
func (b *builder) frontResources(f *front, kind gcp.Kind) []gcp.Resource {
	return slices.DeleteFunc(slices.Clone(b.ours(kind)), func(r gcp.Resource) bool { return r.Mark.Ingress != gcp.RefText(f.ref) })
}

// judgeAddress decides whether the front may use the address that the user names.
func (b *builder) judgeAddress(f *front) {
	name := f.address.Name
	if !gcp.ValidName.MatchString(name) {
		b.refuse(f, federation.FindingAddress, "", fmt.Sprintf("%q is not a valid address name", name), "correct the annotation "+AnnotationAddress)
		return
	}
	r, there := b.seen.Resources[f.address]
	address, _ := r.Spec.(gcp.Address)
	switch {
	case !there && !b.seen.Complete[gcp.KindAddress]:
		f.wait("the addresses of project " + b.in.Federation.GCP.Project + " cannot be read")
	case !there && b.in.Federation.GCP.Addresses == federation.AddressRequireExisting:
		b.refuse(f, federation.FindingAddress, "", fmt.Sprintf("global address %s does not exist in project %s", name, b.in.Federation.GCP.Project),
			fmt.Sprintf("gcloud compute addresses create %s --project=%s --global", name, b.in.Federation.GCP.Project))
	case there:
		b.judgeUse(f, address)
	}
}

// judgeUse refuses an address that a forwarding rule other than the front's own uses.
func (b *builder) judgeUse(f *front, address gcp.Address) {
	mine := false
	for _, id := range b.rulesAt(address.IP) {
		r := b.seen.Resources[id]
		if b.owner.Owns(r.Mark) && r.Mark.Ingress == gcp.RefText(f.ref) {
			mine = true
			continue
		}
		b.refuseAddress(f, address, r)
		return
	}
	switch {
	case mine || !address.InUse:
	case !b.seen.Complete[gcp.KindRule]:
		f.wait("the users of address " + f.address.Name + " cannot be read")
	case b.isUser(f, address):
		// Its rule is being created, or was deleted a moment ago.
	case len(address.Users) > 0:
		f.wait(fmt.Sprintf("address %s (%s) is in use by forwarding rule %s, which cannot be read yet", f.address.Name, address.IP, listNames(address.Users)))
	default:
		b.refuse(f, federation.FindingAddress, "", fmt.Sprintf("address %s (%s) is in use by something other than a global forwarding rule", f.address.Name, address.IP),
			"run gcloud compute addresses describe "+f.address.Name+" --global, and release it or name another address")
	}
}

// isUser reports whether only the front's own forwarding rules use an address. It
// compares names: kinds are listed at different moments, so a rule may be missing.
func (b *builder) isUser(f *front, address gcp.Address) bool {
	own := []string{b.frontID(f, gcp.KindRule, "80").Name, b.frontID(f, gcp.KindRule, "443").Name}
	return len(address.Users) > 0 && !slices.ContainsFunc(address.Users, func(user string) bool { return !slices.Contains(own, user) })
}

// rulesAt returns the observed forwarding rules that use an address.
func (b *builder) rulesAt(ip string) []gcp.ID {
	var found []gcp.ID
	for id, r := range b.seen.Resources {
		if rule, ok := r.Spec.(gcp.Rule); ok && ip != "" && rule.IP == ip {
			found = append(found, id)
		}
	}
	slices.SortFunc(found, gcp.ID.Compare)
	return found
}

func (b *builder) refuseAddress(f *front, address gcp.Address, holder gcp.Resource) {
	who, remedy := fmt.Sprintf("forwarding rule %s, which is not fedsync's", holder.ID.Name), "name another address in the annotation "+AnnotationAddress
	switch name := holder.ID.Name; {
	case b.owner.Owns(holder.Mark):
		who = fmt.Sprintf("forwarding rule %s of %s", name, holder.Mark.Ingress)
	case holder.Mark.Federation != "":
		who = fmt.Sprintf("forwarding rule %s, which is %s", name, holder.Holder())
	case strings.HasPrefix(name, "k8s-fw-"), strings.HasPrefix(name, "k8s-fws-"), strings.HasPrefix(name, "k8s2-fr-"), strings.HasPrefix(name, "k8s2-fs-"):
		who = fmt.Sprintf("forwarding rule %s of Google's ingress controller", name)
		remedy = fmt.Sprintf("name another address in the annotation %s: both load balancers serve then, and DNS can move from one to the other", annotationOwnAddress)
	case strings.HasPrefix(name, "mci1-"):
		who = fmt.Sprintf("forwarding rule %s of kubemci", name)
	case strings.HasPrefix(name, "mci-"):
		who = fmt.Sprintf("forwarding rule %s of Multi Cluster Ingress", name)
	}
	b.refuse(f, federation.FindingAddress, "", fmt.Sprintf("address %s (%s) belongs to %s: it cannot move without a gap, so nothing is changed", f.address.Name, address.IP, who), remedy)
}

// wantAddress wants the address of a front. An address that the user created is only
// referred to.
func (b *builder) wantAddress(f *front) {
	r, there := b.seen.Resources[f.address]
	if there && !b.owner.Owns(r.Mark) && f.address != b.frontID(f, gcp.KindAddress, "") {
		b.want.Resources[f.address] = gcp.Resource{ID: f.address, Spec: gcp.Address{}}
		return
	}
	b.add(f.address, b.frontMark(f), gcp.Address{})
}

// holdAddresses holds every address that is no longer wanted: DNS may still name it.
func (b *builder) holdAddresses() {
	for _, r := range b.ours(gcp.KindAddress) {
		if _, wanted := b.want.Resources[r.ID]; !wanted {
			b.hold(r.ID, "fedsync never releases an address")
		}
	}
}
