package ports

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/fedsync/fedsync/pkg/federation"
)

var updatePorts = flag.Bool("update", false, "rewrite what the cases in testdata want")

// Each case is a world, in the words that parsePortWorld reads, and all that is
// decided in it.
func TestNodePorts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 || archive.Files[0].Name != "world" || archive.Files[1].Name != "want" {
				t.Fatal("a case has the files world and want")
			}
			in := parsePortWorld(t, string(archive.Files[0].Data))
			got := portText(in, Decide(in))
			if *updatePorts {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("decidePorts (-want +got):\n%s", diff)
			}
		})
	}
}

// parsePortWorld reads lines of these forms, where CLUSTERS is a list with commas
// or * for all:
//
//	range FIRST-LAST
//	cluster CLUSTERS [offline|unknown|lost]
//	used CLUSTERS PORT[/PROTOCOL] NAMESPACE/NAME[:SERVICEPORT|:health]
//	leaving CLUSTERS NAMESPACE/NAME
//	service NAMESPACE/NAME CLUSTERS FILE
//	variant CLUSTERS FILE
//	port PORT[/PROTOCOL]|health [NODEPORT]
//
// A variant belongs to the service above it, a port to the variant or service.
func parsePortWorld(t *testing.T, text string) Input {
	t.Helper()
	in := Input{Range: federation.PortRange{First: 30000, Last: 32767}}
	number := func(s string) int32 {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			t.Fatalf("%q is no number", s)
		}
		return int32(n)
	}
	clusters := func(s string) []int {
		var found []int
		for i := range in.Clusters {
			if s == "*" || slices.Contains(strings.Split(s, ","), in.Clusters[i].Name) {
				found = append(found, i)
			}
		}
		if len(found) == 0 {
			t.Fatalf("no cluster is named %q", s)
		}
		return found
	}
	split := func(s, sep, otherwise string) (string, string) {
		if a, b, ok := strings.Cut(s, sep); ok {
			return a, b
		}
		return s, otherwise
	}
	leaving := map[[2]string]bool{}
	for line := range strings.Lines(text) {
		words := append(strings.Fields(line), "", "", "", "")
		switch words[0] {
		case "":
		case "range":
			first, last := split(words[1], "-", "")
			in.Range = federation.PortRange{First: number(first), Last: number(last)}
		case "cluster":
			for name := range strings.SplitSeq(words[1], ",") {
				in.Clusters = append(in.Clusters, Cluster{
					Name:  name,
					Known: words[2] != "unknown", Fresh: words[2] == "", Lost: words[2] == "lost",
					Leaving: func(ref federation.ObjectRef) bool { return leaving[[2]string{name, ref.Namespace + "/" + ref.Name}] },
				})
			}
		case "used":
			port, protocol := split(words[2], "/", "TCP")
			service, servicePort := split(words[3], ":", "0")
			used := federation.NodePort{Protocol: protocol, Port: number(port), HealthCheck: servicePort == "health"}
			used.Namespace, used.Service = split(service, "/", "")
			if !used.HealthCheck {
				used.ServicePort = number(servicePort)
			}
			for _, c := range clusters(words[1]) {
				in.Clusters[c].Used = append(in.Clusters[c].Used, used)
				slices.SortFunc(in.Clusters[c].Used, federation.NodePort.Compare)
			}
		case "leaving":
			for _, c := range clusters(words[1]) {
				leaving[[2]string{in.Clusters[c].Name, words[2]}] = true
			}
		case "service":
			ref := federation.ObjectRef{Kind: "Service"}
			ref.Namespace, ref.Name = split(words[1], "/", "")
			in.Services = append(in.Services, Service{
				App: "app", Ref: ref, File: words[3],
				Variants: []Variant{{Clusters: clusters(words[2]), File: words[3]}},
			})
		case "variant":
			s := &in.Services[len(in.Services)-1]
			s.Variants = append(s.Variants, Variant{Clusters: clusters(words[1]), File: words[2]})
		case "port":
			spec := Port{HealthCheck: words[1] == "health"}
			if !spec.HealthCheck {
				var port string
				port, spec.Protocol = split(words[1], "/", "TCP")
				spec.Port = number(port)
			}
			if words[2] != "" {
				spec.NodePort = number(words[2])
			}
			s := &in.Services[len(in.Services)-1]
			v := &s.Variants[len(s.Variants)-1]
			v.Ports = append(v.Ports, spec)
		default:
			t.Fatalf("line %q is not understood", line)
		}
	}
	return in
}

// portText writes a result as the cases want it.
func portText(in Input, r Result) string {
	var b strings.Builder
	for _, d := range r.Decisions {
		fmt.Fprintf(&b, "%s/%s %d/%s: %d %s: %s", d.Service.Namespace, d.Service.Name, d.Port, d.Protocol, d.NodePort, d.Basis, d.Reason)
		if len(d.Waits) > 0 {
			fmt.Fprintf(&b, " [waits %s]", strings.Join(d.Waits, " "))
		}
		b.WriteString("\n")
		for _, c := range d.Clashes {
			fmt.Fprintf(&b, "    clash in %s with %s\n", c.Cluster, c.Holder)
		}
		for _, m := range d.Moves {
			fmt.Fprintf(&b, "    moves in %s from %d\n", m.Cluster, m.From)
		}
	}
	for _, w := range r.Withheld {
		fmt.Fprintf(&b, "withheld in %s: %s of %s: %s", in.Clusters[w.Cluster].Name, w.Object, w.File, w.Reason)
		if len(w.Waits) > 0 {
			fmt.Fprintf(&b, " [waits %s]", strings.Join(w.Waits, " "))
		}
		b.WriteString("\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s\n    %s\n", f.Severity, f.ID, f, f.Remedy)
	}
	return b.String()
}
