package fedfile

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/pkg/federation"
)

// FactsKind is the kind of a file that holds Facts.
const FactsKind = "Facts"

// factsFile stands for the file's name in errors, since the name is not known here.
const factsFile = "facts"

// ParseFacts reads a file of facts, YAML or JSON, and fills in the defaults. It
// is as strict as Parse. Its error is of type Errors; Errors.In sets
// the file's name.
func ParseFacts(data []byte) (federation.Facts, error) {
	var file factsDocument
	if found := factsFormat.decode(data, &file, func(c *checker) { c.facts(&file) }); len(found) > 0 {
		return federation.Facts{}, found
	}
	facts := federation.Facts{
		Clusters:  make(map[string]federation.ClusterFacts, len(file.Clusters)),
		Balancers: slices.Concat(file.Balancers), BalancersKnown: file.Balancers != nil,
	}
	for i := range file.Clusters {
		facts.Clusters[file.Clusters[i].Name] = file.Clusters[i].Facts
	}
	return facts, nil
}

// FactsYAML encodes the facts for ParseFacts, with the clusters sorted by name. Defaults are
// omitted.
func FactsYAML(f federation.Facts) ([]byte, error) {
	data, err := FactsJSON(f)
	if err != nil {
		return nil, err
	}
	// JSON is YAML. Decoding it into nodes preserves the order of the fields.
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	block(&root, 0)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(&root); err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	return b.Bytes(), nil
}

// block sets a node's style to several lines, down to a cluster's lists. An entry of
// these lists takes one line, so that people can compare entries.
func block(n *yaml.Node, depth int) {
	const entries = 6 // document, file, clusters, cluster, list, entry
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value == "<<" || strings.ContainsFunc(n.Value, isOdd)):
		n.Style = yaml.DoubleQuotedStyle // the encoder's own choice could not be read back
	case n.Kind == yaml.ScalarNode || depth < entries-1:
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child, depth+1)
	}
}

// isOdd reports whether a character is allowed unescaped in JSON but is invalid in YAML,
// or lost there. Output of one cluster must not make the facts of all clusters unreadable.
func isOdd(r rune) bool {
	return r == '\uFEFF' || r < 0x10000 && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

// escaped returns JSON with its odd characters escaped. Outside of strings, the only
// odd characters are line ends.
func escaped(data []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(data) {
		if r == '\n' || !isOdd(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.Bytes()
}

// FactsJSON encodes the facts as FactsYAML does, but in JSON.
func FactsJSON(f federation.Facts) ([]byte, error) {
	file := factsDocument{APIVersion: federation.APIVersion, Kind: FactsKind}
	if f.BalancersKnown {
		file.Balancers = append([]federation.Balancer{}, f.Balancers...)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Clusters)) {
		file.Clusters = append(file.Clusters, clusterDocument{Name: name, Facts: f.Clusters[name]})
	}
	data, err := jsonOf(reflect.ValueOf(file), factsFormat.form())
	if err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	return append(escaped(data), '\n'), nil
}

// factsDocument is a file of facts.
type factsDocument struct {
	APIVersion string            `file:"apiVersion,required" const:"fedsync.dev/v1alpha1" doc:"The version of this format."`
	Kind       string            `file:"kind,required" const:"Facts" doc:"What the file is."`
	Clusters   []clusterDocument `file:"clusters,required" doc:"The clusters. An omitted cluster is Ready and empty."`
	// Balancers are known if the list is present, even if it is empty.
	Balancers []federation.Balancer `file:"balancers,always" sort:"ingress" doc:"The load balancers that fedsync maintains on Google Cloud; not known if omitted."`
}

// clusterDocument is the facts of one cluster, with its name.
type clusterDocument struct {
	Name  string                  `file:"name,required" doc:"The cluster's name in fedsync.yaml."`
	Facts federation.ClusterFacts `file:""`
}
