package fedfile

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// everyField has every field of fedsync.yaml, each with a value that is not its default.
const everyField = `
apiVersion: fedsync.dev/v1alpha1
kind: Federation
metadata:
  name: web
  annotations: {team: edge}
spec:
  clusters:
  - {name: a, context: context-a, labels: {place: asia}, state: Lost, drain: true, weight: 50, zone: asia-east1-a}
  - {name: b}
  - {name: c}
  apps:
  - name: echo
    path: apps/echo
    clusterSelector:
      matchLabels: {place: asia}
      matchExpressions: [{key: tier, operator: In, values: [front]}]
    adoption: Never
    prune: false
    pruneLimit: 3
  createNamespaces: false
  nodePorts: {range: 31000-31999}
  failover: {mode: "Off", confirmLost: [b]}
  gcp: {project: my-project, network: prod, loadBalancer: SharedUID, firewall: Report, addresses: RequireExisting, tags: [node]}
  commitStatus: {context: deploy, perCluster: true}
  onRemove: Delete
`

// otherValues are valid values, by field, that everyField does not have; nil omits the
// field.
var otherValues = map[string][]any{
	".metadata.name":          {"shop"},
	".metadata.annotations{}": {"core"},

	".spec.clusters[].name":     {"z"},
	".spec.clusters[].context":  {"context-z"},
	".spec.clusters[].labels{}": {"europe"},
	".spec.clusters[].state":    {nil},
	".spec.clusters[].weight":   {51},
	".spec.clusters[].zone":     {"asia-east1-b"},

	".spec.apps[].name":                                        {"shop"},
	".spec.apps[].path":                                        {"apps/shop"},
	".spec.apps[].clusterSelector.matchLabels{}":               {"europe"},
	".spec.apps[].clusterSelector.matchExpressions[].key":      {"stage"},
	".spec.apps[].clusterSelector.matchExpressions[].operator": {"NotIn"},
	".spec.apps[].clusterSelector.matchExpressions[].values[]": {"back"},
	".spec.apps[].adoption":                                    {"Always"},
	".spec.apps[].pruneLimit":                                  {4, "3%"},

	".spec.nodePorts.range":        {"31000-32000", "30999-31999"},
	".spec.failover.mode":          {"Automatic"},
	".spec.failover.confirmLost[]": {"c"},
	".spec.gcp.project":            {"other-project"},
	".spec.gcp.network":            {"projects/host-project/global/networks/prod"},
	".spec.gcp.loadBalancer":       {"NodePorts", "None"},
	".spec.gcp.firewall":           {"Managed", "Off"},
	".spec.gcp.addresses":          {"Reserve"},
	".spec.gcp.tags[]":             {"edge"},
	".spec.commitStatus.context":   {"release"},
	".spec.onRemove":               {"Orphan"},
}

// A field that is allowed and decoded may still be dropped on its way into the
// Federation. So the test gives each field of the schema other values, one at a time.
func TestEveryFieldChangesTheFederation(t *testing.T) {
	fields := schemaFields(t)
	base, err := Parse("", []byte(everyField))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if field == ".apiVersion" || field == ".kind" {
			continue // they say what the file is: no other value is valid
		}
		t.Run(field, func(t *testing.T) {
			_, had := everyFieldBut(t, field, nil)
			if had == nil {
				t.Fatalf("everyField has no %s: add it", field)
			}
			others := otherValues[field]
			if fields[field]["type"] == "boolean" {
				others = []any{had != true}
			}
			if len(others) == 0 {
				t.Fatalf("otherValues has none of %s: add one", field)
			}
			for _, other := range others {
				file, _ := everyFieldBut(t, field, other)
				got, err := Parse("", file)
				if err != nil {
					t.Errorf("Parse with %v = %v, want a valid file", other, err)
					continue
				}
				if cmp.Equal(base, got, bySelectorText) {
					t.Errorf("the Federation with %v is the one with %v", other, had)
				}
			}
		})
	}
}

// The defaults that the schema documents must be the ones that fedsync uses.
func TestDefaultsAreThoseOfTheSchema(t *testing.T) {
	for field, schema := range schemaFields(t) {
		if schema["default"] == nil {
			continue
		}
		without, _ := everyFieldBut(t, field, nil)
		with, _ := everyFieldBut(t, field, schema["default"])
		got, err := Parse("", without)
		want, wrong := Parse("", with)
		if err != nil || wrong != nil || !cmp.Equal(want, got, bySelectorText) {
			t.Errorf("without %s Parse = %+v, %v, want what it is with %v: %+v, %v", field, got, err, schema["default"], want, wrong)
		}
	}
}

var bySelectorText = cmp.Comparer(func(a, b federation.Selector) bool { return a.String() == b.String() })

// everyFieldBut returns everyField with another value of one field, and the value that
// the field has there: nil for none.
func everyFieldBut(t *testing.T, field string, other any) (file []byte, had any) {
	t.Helper()
	var root any
	if err := yaml.Unmarshal([]byte(everyField), &root); err != nil {
		t.Fatal(err)
	}
	// "spec.apps[].labels{}" is the first app's one label.
	steps := strings.Split(strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(field), ".")[1:]
	had = root
	var set func(value any)
	for _, step := range steps {
		switch in := had.(type) {
		case []any:
			had, set = in[0], func(value any) { in[0] = value }
		case map[string]any:
			if step == "{}" {
				step = slices.Sorted(maps.Keys(in))[0]
			}
			had, set = in[step], func(value any) { in[step] = value }
			if other == nil {
				set = func(any) { delete(in, step) }
			}
		default:
			return nil, nil
		}
	}
	set(other)
	file, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return file, had
}
