package gcp

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/api/compute/v1"
)

// maxPortRange is how many ports of a range in a firewall rule are taken as single
// ones. A wider one is nothing that fedsync writes.
const maxPortRange = 64

// toAddress is the address to reserve.
func toAddress(r Resource) *compute.Address {
	return &compute.Address{Name: r.ID.Name, Description: r.Mark.text(), IpVersion: "IPV4", AddressType: "EXTERNAL"}
}

func fromAddress(a *compute.Address) Address {
	address := Address{IP: a.Address, InUse: a.Status == "IN_USE"}
	for _, user := range a.Users {
		if strings.Contains(user, "/global/forwardingRules/") {
			address.Users = append(address.Users, user[strings.LastIndexByte(user, '/')+1:])
		}
	}
	return address
}

func toFirewall(r Resource, spec Firewall) *compute.Firewall {
	return &compute.Firewall{
		Name:         r.ID.Name,
		Description:  r.Mark.text(),
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

func fromFirewall(f *compute.Firewall, project string) Firewall {
	spec := Firewall{
		Network:  shortLink(f.Network, project),
		Ranges:   sortedCopy(f.SourceRanges),
		Tags:     sortedCopy(f.TargetTags),
		Disabled: f.Disabled,
	}
	for _, a := range f.Allowed {
		ports, extra := readPorts(a.IPProtocol, a.Ports)
		spec.Ports = append(spec.Ports, ports...)
		spec.Extra = append(spec.Extra, extra...)
	}
	slices.Sort(spec.Ports)
	spec.Ports = slices.Compact(spec.Ports)
	spec.Extra = sortedCopy(append(spec.Extra, firewallExtras(f)...))
	return spec
}

// firewallExtras are the conditions of a rule that fedsync never sets.
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
			extra = append(extra, what+" "+strings.Join(sortedCopy(list), ","))
		}
	}
	return extra
}

// readPorts splits what a rule allows of a protocol into single TCP ports and the
// rest.
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

func toGroup(r Resource, spec Group) *compute.NetworkEndpointGroup {
	return &compute.NetworkEndpointGroup{
		Name:                r.ID.Name,
		Description:         r.Mark.text(),
		NetworkEndpointType: spec.Type,
		Network:             spec.Network,
		Subnetwork:          spec.Subnetwork,
	}
}

func fromGroup(g *compute.NetworkEndpointGroup, project string) Group {
	return Group{
		Type:       g.NetworkEndpointType,
		Network:    shortLink(g.Network, project),
		Subnetwork: shortLink(g.Subnetwork, project),
		Size:       g.Size,
	}
}

// toEndpoints are the endpoints to attach or detach. Machines are of the project of
// the group, in its zone.
func toEndpoints(endpoints []Endpoint, group ID, project string) []*compute.NetworkEndpoint {
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

func fromEndpoint(e *compute.NetworkEndpoint, project string) Endpoint {
	name := e.Instance
	if l, ok := parseLink(e.Instance, project); ok {
		name = l.Name
	}
	return Endpoint{Instance: name, Address: e.IpAddress, Port: int32(e.Port)} //nolint:gosec // a port
}

// sortedCopy returns the list in order, nil where it is empty.
func sortedCopy(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Sorted(slices.Values(list))
}
