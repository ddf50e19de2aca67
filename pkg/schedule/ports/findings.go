package ports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// String returns the name of a port within its Service: "port 80/TCP".
func (k *portKey) String() string {
	if k.health {
		return "the health check"
	}
	return fmt.Sprintf("port %d/%s", k.port, k.protocol)
}

// describe returns a number with its use: "nodePort 30061 of port 80/TCP".
func (k *portKey) describe(number int32) string {
	if k.health {
		return fmt.Sprintf("healthCheckNodePort %d", number)
	}
	return fmt.Sprintf("nodePort %d of %s", number, k)
}

// file returns the file that pins the number of a port, or would pin it.
func (p *planner) file(k *portKey) string {
	return cmp.Or(k.pinFile, p.Services[k.service].File)
}

// fileIn returns the file that the Service of one cluster comes from.
func (p *planner) fileIn(s, c int) string {
	service, v := &p.Services[s], int32(0)
	if p.variantOf[s] != nil {
		v = p.variantOf[s][c]
	}
	return cmp.Or(service.Variants[v].File, service.File)
}

func (p *planner) report(k *portKey, severity federation.Severity, id, message, remedy string) {
	service := &p.Services[k.service]
	p.findings.Add(federation.Finding{
		ID: id, Severity: severity, App: service.App, Object: service.Ref, File: p.file(k),
		Message: untrusted.New(message), Remedy: untrusted.New(remedy),
	})
}

func inheritedReason(live, of int) string {
	return fmt.Sprintf("inherited: live in %d of %d clusters", live, of)
}

func waitingReason(clusters []string) string {
	return "waits for " + untrusted.Some(clusters, 12) + ", whose ports are not known"
}

func (p *planner) chosenReason(basis federation.PortBasis, clusters int) string {
	switch static := rangeText(p.band.static()); {
	case basis == federation.PortOverflow:
		return fmt.Sprintf("chosen: free in %d of %d clusters, above the static band %s, which is full", clusters, clusters, static)
	case p.band.size == 0:
		return fmt.Sprintf("chosen: free in %d of %d clusters, from %s", clusters, clusters, static)
	default:
		return fmt.Sprintf("chosen: free in %d of %d clusters, from the static band %s", clusters, clusters, static)
	}
}

func (p *planner) overflow(k *portKey, number int32) string {
	return fmt.Sprintf("%s is above the static band %s, which is full: a cluster may give it to another Service first",
		k.describe(number), rangeText(p.band.static()))
}

func (p *planner) nothingFree(k *portKey) string {
	return fmt.Sprintf("no node port of %s is free for %s in all of its %d clusters", rangeText(p.Range), k, k.targets.count())
}

func (p *planner) outside(k *portKey, number int32) string {
	return fmt.Sprintf("%s is outside nodePorts.range in %s, %s", k.describe(number), federation.FileName, rangeText(p.Range))
}

func (p *planner) outsideRemedy(k *portKey) string {
	return fmt.Sprintf("pin a nodePort within it in %s, or correct nodePorts.range in %s if the clusters' --service-node-port-range differs",
		p.file(k), federation.FileName)
}

func (p *planner) another(k *portKey) string { return "pin another nodePort in " + p.file(k) }

// disagreement describes which overlays pin which number.
func (p *planner) disagreement(k *portKey) string {
	clusters := map[portPin][]string{}
	for _, v := range p.Services[k.service].Variants {
		for _, spec := range v.Ports {
			if spec.NodePort == 0 || spec.Port != k.port || cmp.Or(spec.Protocol, "TCP") != k.protocol || spec.HealthCheck != k.health {
				continue
			}
			pin := portPin{spec.NodePort, cmp.Or(v.File, p.Services[k.service].File)}
			for _, c := range v.Clusters {
				if !p.Clusters[c].Lost {
					clusters[pin] = append(clusters[pin], p.Clusters[c].Name)
				}
			}
		}
	}
	return "overlays pin different node ports for " + k.String() + ": " + table(clusters)
}

// differences describes which number a port has in which clusters.
func (p *planner) differences(key int) string {
	clusters := map[portPin][]string{}
	for c := range p.keys[key].targets.all() {
		if number := p.row(c)[key]; number != 0 {
			clusters[portPin{number: number}] = append(clusters[portPin{number: number}], p.Clusters[c].Name)
		}
	}
	return "the node ports of " + p.keys[key].String() + " differ: " + table(clusters)
}

// portPin is a number and, if Git pins it, the file.
type portPin struct {
	number int32
	file   string
}

// table returns numbers and their clusters on one line, the lowest number first.
func table(clusters map[portPin][]string) string {
	const most = 10
	pins := make([]portPin, 0, len(clusters))
	for pin := range clusters {
		pins = append(pins, pin)
	}
	slices.SortFunc(pins, func(a, b portPin) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.file, b.file))
	})
	rows := make([]string, 0, most+1)
	for _, pin := range pins[:min(most, len(pins))] {
		names := clusters[pin]
		slices.Sort(names)
		row := fmt.Sprintf("%d in %s", pin.number, untrusted.Some(names, 12))
		if pin.file != "" {
			row += " (" + pin.file + ")"
		}
		rows = append(rows, row)
	}
	if len(pins) > most {
		rows = append(rows, fmt.Sprintf("and %d more", len(pins)-most))
	}
	return strings.Join(rows, "; ")
}

func rangeText(r federation.PortRange) string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// merged sorts findings, and merges those that have the same key, for example those of
// two ports of one Service.
func merged(findings []federation.Finding) []federation.Finding {
	type same struct {
		id, cluster, app, file string
		object                 federation.ObjectRef
	}
	slices.SortFunc(findings, federation.Finding.Compare)
	at := make(map[same]int, len(findings))
	var out []federation.Finding
	var texts []findingTexts // of each in out
	for _, f := range findings {
		key := same{f.ID, f.Cluster, f.App, f.File, f.Object}
		i, again := at[key]
		if !again || f.ID == federation.FindingMore {
			i = len(out)
			at[key] = i
			out, texts = append(out, f), append(texts, findingTexts{})
		}
		texts[i].add(f)
	}
	for i, t := range texts {
		if len(t.messages) > 1 {
			out[i].Message, out[i].Remedy = untrusted.List("", t.messages, "; "), untrusted.List("", t.remedies, "; ")
		}
	}
	return out
}

// findingTexts are the texts of findings that are merged.
type findingTexts struct{ messages, remedies []string }

func (t *findingTexts) add(f federation.Finding) {
	t.messages = append(t.messages, f.Message.String())
	covers := func(remedy string) bool { return strings.Contains(remedy, f.Remedy.String()) }
	if len(t.messages) <= limit.Names && !slices.ContainsFunc(t.remedies, covers) {
		t.remedies = append(t.remedies, f.Remedy.String())
	}
}
