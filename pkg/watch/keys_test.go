package watch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// listed is a list from an API server.
type listed struct {
	resourceVersion string
	objects         []*unstructured.Unstructured
}

func listAt(resourceVersion string, objects ...*unstructured.Unstructured) listed {
	return listed{resourceVersion: resourceVersion, objects: objects}
}

// replace processes a list as a stream does, and again if the cluster went back.
func (k *keys) replace(l listed) (*Listing, error) {
	listing, err := k.replaceOnce(l)
	if errors.Is(err, errRestored) {
		return k.replaceOnce(l)
	}
	return listing, err
}

func (k *keys) replaceOnce(l listed) (*Listing, error) {
	k.begin()
	for _, u := range l.objects {
		if err := k.add(u); err != nil {
			return nil, err
		}
	}
	return k.end(l.resourceVersion)
}

// described returns keys, and a function that returns their events since the last call.
func described() (*keys, func() []string) {
	var got []string
	store := newKeys("configmaps", &load{}, func(e Event) {
		if u := e.Object; u != nil {
			got = append(got, fmt.Sprintf("%s %s %s/%s %s@%s",
				e.Type, u.GetKind(), u.GetNamespace(), u.GetName(), u.GetUID(), u.GetResourceVersion()))
			return
		}
		got = append(got, string(e.Type))
	})
	return store, func() []string {
		list := got
		got = nil
		return list
	}
}

func TestKeysEmitTheChangesBetweenTwoLists(t *testing.T) {
	store, emitted := described()
	replace := func(l listed) func() error {
		return func() error {
			listing, err := store.replace(l)
			if err != nil {
				return err
			}
			if listing.ResourceVersion != l.resourceVersion || len(listing.Objects) != len(l.objects) {
				t.Errorf("listing = %v, want the list at %s", listing, l.resourceVersion)
			}
			for _, u := range l.objects {
				if uid := listing.Objects[KeyOf(u)]; uid != u.GetUID() {
					t.Errorf("uid of %s = %q, want %q", u.GetName(), uid, u.GetUID())
				}
			}
			return nil
		}
	}
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{
			"first list", replace(listAt("12", membertest.ConfigMap("a", "1", "10"), membertest.ConfigMap("b", "2", "11"), membertest.ConfigMap("c", "3", "12"))),
			[]string{"upserted ConfigMap web/a 1@10", "upserted ConfigMap web/b 2@11", "upserted ConfigMap web/c 3@12"},
		},
		{"changed", func() error { return store.put(membertest.ConfigMap("a", "1", "13")) }, []string{"upserted ConfigMap web/a 1@13"}},
		{"sent twice", func() error { return store.put(membertest.ConfigMap("a", "1", "13")) }, nil},
		{"deleted", func() error { return store.drop(membertest.ConfigMap("c", "3", "14")) }, []string{"deleted ConfigMap web/c 3@14"}},
		{"deleted twice", func() error { return store.drop(membertest.ConfigMap("c", "3", "14")) }, nil},
		{"listed again", replace(listAt("16", membertest.ConfigMap("b", "20", "15"), membertest.ConfigMap("d", "4", "16"))), []string{
			"deleted ConfigMap web/b 2@11", "upserted ConfigMap web/b 20@15", "upserted ConfigMap web/d 4@16",
			"deleted ConfigMap web/a 1@16",
		}},
		{"listed again from scratch", func() error {
			store.renew()
			return replace(listAt("16", membertest.ConfigMap("b", "20", "15")))()
		}, []string{"upserted ConfigMap web/b 20@15", "deleted ConfigMap web/d 4@16"}},
		{"again", func() error { return store.put(membertest.ConfigMap("d", "4", "16")) }, []string{"upserted ConfigMap web/d 4@16"}},
		{"empty list", replace(listAt("17")), []string{"deleted ConfigMap web/b 20@17", "deleted ConfigMap web/d 4@17"}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		got := emitted()
		if step.name == "empty list" {
			slices.Sort(got) // deletions have no order
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s:\n got %q\nwant %q", step.name, got, step.want)
		}
	}
}

func TestKeysNoticeThatTheClusterWentBack(t *testing.T) {
	for name, c := range map[string]struct {
		events []*unstructured.Unstructured // between the two lists, the first being a 1@90 at 100
		list   listed
		want   []string
	}{
		"a later list": {
			list: listAt("101", membertest.ConfigMap("a", "1", "90")), want: nil,
		},
		"the same list": {
			list: listAt("100", membertest.ConfigMap("a", "1", "90")), want: nil,
		},
		"an earlier list": {
			list: listAt("99", membertest.ConfigMap("a", "1", "90")), want: []string{"restored", "upserted ConfigMap web/a 1@90"},
		},
		"an earlier list, empty": {
			list: listAt("99"), want: []string{"restored", "deleted ConfigMap web/a 1@99"},
		},
		"a later list of an older object": {
			list: listAt("200", membertest.ConfigMap("a", "1", "80")), want: []string{"restored", "upserted ConfigMap web/a 1@80"},
		},
		"another object of that name": {
			list: listAt("200", membertest.ConfigMap("a", "2", "80")), want: []string{"deleted ConfigMap web/a 1@90", "upserted ConfigMap web/a 2@80"},
		},
		"a list earlier than an event": {
			events: []*unstructured.Unstructured{membertest.ConfigMap("b", "2", "150")},
			list:   listAt("120", membertest.ConfigMap("a", "1", "90")),
			want:   []string{"upserted ConfigMap web/b 2@150", "restored", "upserted ConfigMap web/a 1@90", "deleted ConfigMap web/b 2@120"},
		},
		"an event with an older object": {
			events: []*unstructured.Unstructured{membertest.ConfigMap("a", "1", "80")},
			list:   listAt("300", membertest.ConfigMap("a", "1", "80")),
			want:   []string{"restored", "upserted ConfigMap web/a 1@80"},
		},
		"no numbers": {
			list: listAt("x9", membertest.ConfigMap("a", "1", "x8")), want: []string{"upserted ConfigMap web/a 1@x8"},
		},
		"no number at all": {
			list: listAt("", membertest.ConfigMap("a", "1", "90")), want: nil,
		},
		"always zero": {
			list: listAt("0", membertest.ConfigMap("a", "1", "90")), want: nil,
		},
		"objects count for themselves": {
			list: listAt("3", membertest.ConfigMap("a", "1", "90")), want: nil,
		},
	} {
		store, emitted := described()
		again := func(l listed) {
			if _, err := store.replace(l); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		again(listAt("100", membertest.ConfigMap("a", "1", "90")))
		emitted()
		for _, u := range c.events {
			if err := store.put(u); err != nil && !errors.Is(err, errRestored) {
				t.Fatal(err)
			}
		}
		again(c.list)
		if got := emitted(); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
		again(c.list)
		if got := emitted(); len(got) > 0 {
			t.Errorf("%s: the same list again emits %q, want nothing", name, got)
		}
	}
}

func TestTheMemoryOfAWatchIsBounded(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for want, object := range map[string]func(i int) *unstructured.Unstructured{
		"shows more than 100000 configmaps": func(i int) *unstructured.Unstructured {
			return membertest.ConfigMap(strconv.Itoa(i), "u", "1")
		},
		"shows an object with a name of more than 1024 bytes": func(int) *unstructured.Unstructured {
			return membertest.ConfigMap(long, "u", "1")
		},
		"shows an object with a uid or resourceVersion": func(int) *unstructured.Unstructured {
			return membertest.ConfigMap("a", long, "1")
		},
		"shows objects of more than 256 MiB": func(i int) *unstructured.Unstructured {
			u := membertest.ConfigMap(strconv.Itoa(i), "u", "1")
			u.SetLabels(map[string]string{"a": strings.Repeat("x", 64<<10)})
			return u
		},
	} {
		whole := &load{}
		store := newKeys("configmaps", whole, func(Event) {})
		store.begin()
		var err error
		for i := 0; err == nil && i < 200_000; i++ {
			err = store.add(object(i))
		}
		if f := failure.Of(err); f.Class != federation.FailureMisbehaves || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if store.close(); whole.bytes.Load() != 0 || len(store.known) > 0 {
			t.Errorf("%s: %d bytes are left of an ended watch", want, whole.bytes.Load())
		}
	}
}
