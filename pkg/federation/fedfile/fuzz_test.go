package fedfile_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

func FuzzParseFactsReadsWhatItPrints(f *testing.F) {
	f.Add([]byte("apiVersion: fedsync.dev/v1alpha1\nkind: Facts\nclusters:\n- name: a\n  state: Ready\n"))
	f.Add([]byte("apiVersion: fedsync.dev/v1alpha1\nkind: Facts\nclusters: [{name: a}, {name: a}]\nbalancers: [{}]\n"))
	f.Add([]byte("apiVersion: fedsync.dev/v1alpha1\nkind: Facts\nclusters: [{name: a, zones: [], inventory: {}, quotas: [{name: q, hard: {}}]}]\nbalancers: []\n"))
	f.Add([]byte(`{"apiVersion": "fedsync.dev/v1alpha1", "kind": "Facts", "clusters": [{"name": "a", "state": "Offline", "services": [{"name": "x/y", "ports": [{"port": 80, "nodePort": 70000}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := fedfile.ParseFacts(data)
		if err != nil {
			judgeMistakes(t, err)
			return
		}
		printed, err := fedfile.FactsYAML(facts)
		if err != nil {
			t.Fatalf("what was read cannot be printed: %v", err)
		}
		again, err := fedfile.ParseFacts(printed)
		if err != nil || !reflect.DeepEqual(again, facts) {
			t.Errorf("printed and read again it is %+v, %v, want %+v; it was printed as\n%s", again, err, facts, printed)
		}
	})
}

// judgeMistakes checks that an error holds complete mistakes.
func judgeMistakes(t *testing.T, err error) {
	t.Helper()
	var mistakes fedfile.Errors
	if !errors.As(err, &mistakes) || len(mistakes) == 0 {
		t.Fatalf("%T %v, want Errors with a mistake", err, err)
	}
	for _, m := range mistakes {
		if m.Message == "" || m.Line < 0 {
			t.Errorf("%+v is not a complete mistake", m)
		}
	}
}

func FuzzStatusContextIsValidAndAllowed(f *testing.F) {
	f.Add([]byte("metadata: {name: web}\nspec: {commitStatus: {context: a/b}}\n"))
	f.Add([]byte("spec: {commitStatus: {context: \"ci/required\\n\\x1b[31mX\"}}\n"))
	f.Add([]byte("metadata: {name: [1]}\nspec: {}\n---\nspec: x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		allowed := func(context string) bool { return len(context)%2 == 0 }
		got := fedfile.StatusContext("", data, allowed)
		if got != federation.DefaultStatusContext("", "") && !allowed(got) || !federation.ValidStatusContext(got) {
			t.Errorf("StatusContext = %q, which is not valid or not allowed", got)
		}
		if line := fedfile.StatusContextLine(data); line < 0 {
			t.Errorf("StatusContextLine = %d", line)
		}
	})
}
