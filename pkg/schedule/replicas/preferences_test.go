package replicas

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
)

func TestPreferencesAreRead(t *testing.T) {
	cases := []struct {
		annotation string
		want       Preferences
	}{
		{`{}`, Preferences{Clusters: map[string]ClusterPreferences{}}},
		{
			`{"rebalance": true, "clusters": {"*": {"weight": 1}}}`,
			Preferences{Rebalance: true, Clusters: map[string]ClusterPreferences{"*": {Max: Unbounded, Weight: 1}}},
		},
		{
			"{\n\t\"clusters\": {\"a\": {\"minReplicas\": 2, \"maxReplicas\": 2}, \"b\": {\"maxReplicas\": 0, \"weight\": 10000}}\n}\n",
			Preferences{Clusters: map[string]ClusterPreferences{"a": {Min: 2, Max: 2}, "b": {Weight: 10000}}},
		},
	}
	for _, c := range cases {
		got, err := ParsePreferences(c.annotation)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ParsePreferences(%s) = %+v, %v, want %+v", c.annotation, got, err, c.want)
		}
	}
}

func TestMalformedPreferencesAreQuotedWithWhatIsWrong(t *testing.T) {
	cases := []struct{ annotation, want string }{
		{``, "not JSON: unexpected EOF"},
		{`rebalance: true`, "not JSON"},
		{`null`, "the value is null, not an object"},
		{`[]`, "the value is a list, not an object"},
		{`{"rebalance": true`, "not JSON"},
		{`{} {}`, "something follows"},
		{`{"rebalance": "yes"}`, `rebalance is "yes", not true or false`},
		{`{"Rebalance": true}`, `unknown field "Rebalance"`},
		{`{"rebalance": true, "rebalance": false}`, `"rebalance" is listed twice in the value`},
		{`{"clusters": null}`, "clusters is null, not an object"},
		{`{"clusters": {"a": 1}}`, `cluster "a" is 1, not an object`},
		{`{"clusters": {"a": {}, "a": {}}}`, `"a" is listed twice in clusters`},
		{`{"clusters": {"a": {"min": 1}}}`, `cluster "a": unknown field "min": want minReplicas`},
		{`{"clusters": {"a": {"minReplicas": -1}}}`, `cluster "a": minReplicas is -1, but must not be negative`},
		{`{"clusters": {"a": {"weight": -1}}}`, `cluster "a": weight is -1, but must not be negative`},
		{`{"clusters": {"a": {"maxReplicas": 1.5}}}`, `cluster "a": maxReplicas is 1.5, not a whole number`},
		{`{"clusters": {"a": {"weight": "1"}}}`, `cluster "a": weight is "1", not a number`},
		{`{"clusters": {"a": {"weight": 4294967296}}}`, "weight 4294967296 is more than 2147483647"},
		{`{"clusters": {"a": {"minReplicas": 3, "maxReplicas": 2}}}`, `cluster "a": maxReplicas 2 is less than minReplicas 3`},
	}
	for _, c := range cases {
		_, err := ParsePreferences(c.annotation)
		if err == nil {
			t.Errorf("ParsePreferences(%s) gives no error, want %q", c.annotation, c.want)
			continue
		}
		if got := err.Error(); !strings.Contains(got, c.want) || !strings.Contains(got, limit.Quote(c.annotation)) {
			t.Errorf("ParsePreferences(%s): %s; want %q and the value", c.annotation, got, c.want)
		}
	}
}

func TestPreferencesOfACluster(t *testing.T) {
	everyone := ClusterPreferences{Max: Unbounded, Weight: 1}
	some := map[string]ClusterPreferences{"a": {Max: 3, Weight: 2}}
	rest := map[string]ClusterPreferences{"a": {Max: 3, Weight: 2}, Everywhere: everyone}
	cases := []struct {
		name    string
		prefs   Preferences
		cluster string
		want    ClusterPreferences
		named   bool
	}{
		{"no annotation", Preferences{}, "a", everyone, true},
		{"named", Preferences{Clusters: some}, "a", some["a"], true},
		{"not named", Preferences{Clusters: some}, "b", ClusterPreferences{}, false},
		{"named beside the rest", Preferences{Clusters: rest}, "a", some["a"], true},
		{"one of the rest", Preferences{Clusters: rest}, "b", everyone, true},
	}
	for _, c := range cases {
		if got, named := c.prefs.of(c.cluster); got != c.want || named != c.named {
			t.Errorf("%s: of(%s) = %+v, %t, want %+v, %t", c.name, c.cluster, got, named, c.want, c.named)
		}
	}
}

func FuzzParsePreferences(f *testing.F) {
	f.Add(`{"rebalance":true,"clusters":{"*":{"minReplicas":1,"maxReplicas":2,"weight":3}}}`)
	f.Add(`{"clusters":{"a":{"minReplicas":2,"maxReplicas":1}}}`)
	f.Add(`[{"a":{}`)
	f.Fuzz(func(t *testing.T, annotation string) {
		p, err := ParsePreferences(annotation)
		if err != nil {
			return
		}
		if p.Clusters == nil {
			t.Errorf("ParsePreferences(%q) reads as no annotation", annotation)
		}
		for name, c := range p.Clusters {
			if c.Min < 0 || c.Min > c.Max || c.Weight < 0 || c.Weight > maxWeight {
				t.Errorf("ParsePreferences(%q) accepts %+v for %q", annotation, c, name)
			}
		}
	})
}
