package web

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// filler makes a report in which nothing is empty. Each list has two items, except that
// one may be large.
type filler struct {
	large string // the path of the list or text that is large, as ".Clusters[].Objects"
	n     int    // its length
	paths map[string]bool
}

// length returns the length of the list or the text at a path.
func (f *filler) length(path string, usual int) int {
	f.paths[path] = true
	if path == f.large {
		return f.n
	}
	return usual
}

func (f *filler) fill(v reflect.Value, path string) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	case untrusted.Text:
		v.Set(reflect.ValueOf(untrusted.New(strings.Repeat("a", f.length(path, 1)))))
		return
	case federation.ClusterState:
		v.SetString(string(federation.ClusterReady))
		return
	case federation.Health:
		v.SetString(string(federation.Degraded))
		return
	case federation.ShareBasis:
		v.SetString(string(federation.ShareByCapacity))
		return
	}
	switch v.Kind() { //nolint:exhaustive // A report has no other kinds, and the test counts the paths.
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				f.fill(v.Field(i), path+"."+field.Name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		n := f.length(path, 2)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i), path+"[]")
		}
	case reflect.Map:
		n := f.length(path, 2)
		v.Set(reflect.MakeMap(v.Type()))
		for i := range n {
			item := reflect.New(v.Type().Elem()).Elem()
			f.fill(item, path+"[]")
			v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("k%d", i)).Convert(v.Type().Key()), item)
		}
	case reflect.String:
		v.SetString(strings.Repeat("a", f.length(path, 1))) // equal names match everywhere
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func (f *filler) report() *status.Report {
	r := &status.Report{}
	f.fill(reflect.ValueOf(r).Elem(), "")
	return r
}

// Whatever part of a report is large, its page is bounded: twice as much of it does not
// make the page larger.
func TestPagesAreBoundedWhateverIsLarge(t *testing.T) {
	const much = 2500
	whole := &filler{paths: map[string]bool{}}
	whole.report()
	if len(whole.paths) < 80 || !whole.paths[".Clusters[].Objects[].Rules"] {
		t.Fatalf("a report has %d lists and texts: %v", len(whole.paths), whole.paths)
	}
	var r *status.Report
	h := New(Options{Report: func() *status.Report { return r }})
	for large := range whole.paths {
		t.Run(large, func(t *testing.T) {
			var sizes [2][]int
			for i := range sizes {
				f := &filler{large: large, n: much << i, paths: map[string]bool{}}
				r = f.report()
				for _, path := range []string{"/", "/clusters/" + r.Clusters[0].Name[:1]} {
					if strings.HasSuffix(large, ".Clusters[].Name") && path != "/" {
						continue // no address is that long
					}
					w := get(t, h, path)
					if w.Code != 200 {
						t.Fatalf("GET %s = %d", path, w.Code)
					}
					sizes[i] = append(sizes[i], w.Body.Len())
				}
			}
			for i, size := range sizes[0] {
				if twice := sizes[1][i]; twice > size+size/50 || twice > 6<<20 {
					t.Errorf("page %d has %[3]d bytes with %[2]d items or bytes, and %[4]d with twice as many", i, much, size, twice)
				}
			}
		})
	}
}
