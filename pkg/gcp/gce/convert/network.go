package convert

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// maxPortRange is the size up to which a port range in a firewall rule is read as single
// ports. fedsync writes no wider one.
const maxPortRange = 64

// ToAddress returns the address for the API to reserve.
func ToAddress(r gcp.Resource) *compute.Address {
	return &compute.Address{Name: r.ID.Name, Description: r.Mark.Text(), IpVersion: "IPV4", AddressType: "EXTERNAL"}
}

// FromAddress reads an address of the API.
func FromAddress(a *compute.Address) gcp.Address {
	address := gcp.Address{IP: a.Address, InUse: a.Status == "IN_USE"}
	for _, user := range a.Users {
		if strings.Contains(user, "/global/forwardingRules/") {
			address.Users = append(address.Users, user[strings.LastIndexByte(user, '/')+1:])
		}
	}
	return address
}

// ToFirewall returns the firewall rule for the API.
func ToFirewall(r gcp.Resource, spec gcp.Firewall) *compute.Firewall {
	return &compute.Firewall{
		Name:         r.ID.Name,
		Description:  r.Mark.Text(),
		Network:      spec.Network,
		Direction:    "INGRESS",
		SourceRanges: spec.Ranges,
		TargetTags:   spec.Tags,
		Allowed:      []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: portTexts(spec.Ports)}},
	}
}

func portTexts(ports []int32) []string {
	var texts []string
	for _, p := range ports {
		texts = append(texts, strconv.Itoa(int(p)))
	}
	return texts
}

// FromFirewall reads a firewall rule of the API.
func FromFirewall(f *compute.Firewall, project string) gcp.Firewall {
	spec := gcp.Firewall{
		Network:  ShortLink(f.Network, project),
		Ranges:   SortedCopy(f.SourceRanges),
		Tags:     SortedCopy(f.TargetTags),
		Disabled: f.Disabled,
	}
	for _, a := range f.Allowed {
		ports, extra := readPorts(a.IPProtocol, a.Ports)
		spec.Ports = append(spec.Ports, ports...)
		spec.Extra = append(spec.Extra, extra...)
	}
	slices.Sort(spec.Ports)
	spec.Ports = slices.Compact(spec.Ports)
	spec.Extra = SortedCopy(append(spec.Extra, firewallExtras(f)...))
	return spec
}

// firewallExtras returns the conditions of a rule that fedsync never sets.
func firewallExtras(f *compute.Firewall) []string {
	var extra []string
	if f.Direction != "" && f.Direction != "INGRESS" {
		extra = append(extra, "direction "+f.Direction)
	}
	for _, d := range f.Denied {
		extra = append(extra, "deny "+d.IPProtocol+" "+strings.Join(d.Ports, ","))
	}
	for what, list := range map[string][]string{
		"source tags": f.SourceTags, "source service accounts": f.SourceServiceAccounts,
		"target service accounts": f.TargetServiceAccounts, "destination ranges": f.DestinationRanges,
	} {
		if len(list) > 0 {
			extra = append(extra, what+" "+strings.Join(SortedCopy(list), ","))
		}
	}
	return extra
}

// readPorts splits the ports that a rule allows for a protocol into single TCP ports and
// all others.
func readPorts(protocol string, texts []string) (ports []int32, extra []string) {
	protocol = strings.ToLower(protocol)
	if protocol == "6" {
		protocol = "tcp"
	}
	if protocol != "tcp" || len(texts) == 0 {
		return nil, []string{strings.TrimSuffix(protocol+":"+strings.Join(texts, ","), ":")}
	}
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.Atoi(strings.TrimSpace(first))
		high, errHigh := strconv.Atoi(strings.TrimSpace(last))
		if errLow != nil || errHigh != nil || low < 0 || high > 65535 || high < low || high-low >= maxPortRange {
			extra = append(extra, "tcp:"+text)
			continue
		}
		for p := low; p <= high; p++ {
			ports = append(ports, int32(p)) //nolint:gosec // at most 65535
		}
	}
	return ports, extra
}

// ToGroup returns the endpoint group for the API.
func ToGroup(r gcp.Resource, spec gcp.Group) *compute.NetworkEndpointGroup {
	return &compute.NetworkEndpointGroup{
		Name:                r.ID.Name,
		Description:         r.Mark.Text(),
		NetworkEndpointType: spec.Type,
		Network:             spec.Network,
		Subnetwork:          spec.Subnetwork,
	}
}

// FromGroup reads an endpoint group of the API, without its endpoints.
func FromGroup(g *compute.NetworkEndpointGroup, project string) gcp.Group {
	return gcp.Group{
		Type:       g.NetworkEndpointType,
		Network:    ShortLink(g.Network, project),
		Subnetwork: ShortLink(g.Subnetwork, project),
		Size:       g.Size,
	}
}

// ToEndpoints returns the endpoints for the API to attach or detach. Machines are in the
// project and zone of the group.
func ToEndpoints(endpoints []gcp.Endpoint, group gcp.ID, project string) []*compute.NetworkEndpoint {
	var out []*compute.NetworkEndpoint
	for _, e := range endpoints {
		to := &compute.NetworkEndpoint{IpAddress: e.Address, Port: int64(e.Port)}
		if e.Instance != "" {
			to.Instance = link{
				Project: project, Scope: "zones/" + group.Zone, Collection: "instances", Name: e.Instance,
			}.String()
		}
		out = append(out, to)
	}
	return out
}

// FromEndpoint reads an endpoint of the API.
func FromEndpoint(e *compute.NetworkEndpoint, project string) gcp.Endpoint {
	name := e.Instance
	if l, ok := ParseLink(e.Instance, project); ok {
		name = l.Name
	}
	return gcp.Endpoint{Instance: name, Address: e.IpAddress, Port: int32(e.Port)} //nolint:gosec // a port
}

// SortedCopy returns the list sorted; nil if it is empty.
func SortedCopy(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Sorted(slices.Values(list))
}
