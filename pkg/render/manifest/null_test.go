package manifest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An API server treats null like a missing field, except for a value of a map.
func TestNullMeansWhatItMeansToAnAPIServer(t *testing.T) {
	cases := map[string]struct{ content, want string }{
		"ports of a Service": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","creationTimestamp":null,"labels":null},"spec":{"clusterIP":null,"ports":[{"port":80,"protocol":null,"nodePort":null}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`,
		},
		"what is empty stays": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"","labels":{}},"spec":{"ports":[],"selector":{"a":""}}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"","labels":{}},"spec":{"ports":[],"selector":{"a":""}}}`,
		},
		"a value of a map of strings": {
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"a":null}},"data":{"b":null,"c":"d"},"binaryData":null}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"a":""}},"data":{"b":"","c":"d"}}`,
		},
		"a container": {
			`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"nodeSelector":{"x":null},"volumes":[{"name":"v","emptyDir":null}],"containers":[{"args":["a",null],"env":[{"name":"E","value":null}],"resources":{"limits":{"cpu":null},"requests":null}}]}}}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"nodeSelector":{"x":""},"volumes":[{"name":"v"}],"containers":[{"args":["a",null],"env":[{"name":"E"}],"resources":{"limits":{"cpu":null}}}]}}}}`,
		},
		"a field that nobody knows": {
			`{"apiVersion":"v1","kind":"Service","spec":{"unknown":{"a":null},"other":null}}`,
			`{"apiVersion":"v1","kind":"Service","spec":{"unknown":{"a":null},"other":null}}`,
		},
		"values of other types than they should be": {
			`{"apiVersion":"v1","kind":"Service","metadata":[null],"spec":{"ports":{"a":null},"selector":[{"b":null}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":[null],"spec":{"ports":{"a":null},"selector":[{"b":null}]}}`,
		},
		"a kind that is not built in": {
			`{"apiVersion":"example.com/v1","kind":"Service","spec":{"a":null}}`,
			`{"apiVersion":"example.com/v1","kind":"Service","spec":{"a":null}}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			content, err := Content([]byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			changed := Settle(content)
			got, err := json.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(again), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if changed == (c.want == c.content) {
				t.Errorf("Settle = %t", changed)
			}
		})
	}
}
