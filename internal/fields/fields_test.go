package fields_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/fields"
)

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name, kind, before, after string
		want                      []fields.Difference
	}{
		{"equal", "ConfigMap", `{"data":{"a":"b"}}`, `{"data":{"a":"b"}}`, nil},
		{"a field", "ConfigMap", `{"data":{"a":"b"}}`, `{"data":{"a":"c"}}`, []fields.Difference{{"data.a", `"b"`, `"c"`}}},
		{"a new object", "ConfigMap", `null`, `{"data":{"a":"b"},"metadata":{"uid":"1","name":"x"}}`, []fields.Difference{{"data.a", "", `"b"`}, {"metadata.name", "", `"x"`}}},
		{"what the server keeps", "Service", `{"metadata":{"generation":1},"status":{"x":1}}`, `{"metadata":{"generation":2}}`, nil},
		{"a secret's content", "Secret", `{"data":{"a":"Yg=="}}`, `{"data":{"a":"Yw==","b":"Yg=="}}`, []fields.Difference{{"data.a", "*** before", "*** after"}, {"data.b", "", "***"}}},
		{"an item", "Service", `{"ports":[{"name":"a","port":1}]}`, `{"ports":[{"name":"a","port":2}]}`, []fields.Difference{{"ports[0].port", "1", "2"}}},
		{
			"an item more, before the others", "Service", `{"ports":[{"name":"a","port":1}]}`, `{"ports":[{"name":"b","port":2},{"name":"a","port":1}]}`,
			[]fields.Difference{{"ports[b].name", "", `"b"`}, {"ports[b].port", "", "2"}},
		},
		{
			"another order", "Service", `{"env":[{"name":"a"},{"name":"b"}]}`, `{"env":[{"name":"b"},{"name":"a"}]}`,
			[]fields.Difference{{"env[0].name", `"a"`, `"b"`}, {"env[1].name", `"b"`, `"a"`}},
		},
		{"names twice", "Service", `{"ports":[{"name":"a"},{"name":"a"}]}`, `{"ports":[{"name":"a"}]}`, []fields.Difference{{"ports[1].name", `"a"`, ""}}},
		{"another type", "X", `{"a":{"b":1}}`, `{"a":[1]}`, []fields.Difference{{"a", `{"b":1}`, `[1]`}}},
		{"an empty list", "X", `{"a":[1]}`, `{"a":[]}`, []fields.Difference{{"a[0]", `1`, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after map[string]any
			if err := json.Unmarshal([]byte(c.before), &before); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.after), &after); err != nil {
				t.Fatal(err)
			}
			got := fields.Compare(schema.GroupKind{Kind: c.kind}, before, after)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
