package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// listener returns a following of a process that sends said.
func listener(said []byte) *following {
	files, f := repository()
	p := &process{pid: os.Getpid(), in: nowhere{}, last: &lastWords{}, store: newStore(), started: time.Now(), out: reader(said)}
	p.store.turn()
	return &following{rendering: &rendering{Worker: New(Options{}), snapshot: federation.Snapshot{Files: files}, federation: f}, process: p}
}

// words encodes frames and the raw bytes that follow them.
func words(t testing.TB, said ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, one := range said {
		if raw, ok := one.([]byte); ok {
			b.Write(raw)
			continue
		}
		if raw, ok := one.(string); ok { // JSON that an uncompromised process never writes
			one = json.RawMessage(raw)
		}
		if err := writeFrame(&b, one); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A compromised process may send anything. The result is an error, and the memory
// used is at most a small multiple of the bytes sent.
func TestMessagesOfAProcessAreBounded(t *testing.T) {
	object1 := func(json string) []any {
		return []any{fromProcess{Objects: []object{{ID: 1, File: "f", Size: len(json)}}}, []byte(json)}
	}
	const fine = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`
	repeat := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	tests := map[string]struct {
		said []any
		want string
	}{
		"a huge frame":             {[]any{[]byte("\x7f\xff\xff\xff")}, "a frame of"},
		"no JSON":                  {[]any{[]byte("\x00\x00\x00\x02{{")}, "invalid"},
		"nothing":                  {[]any{`{}`}, "without content"},
		"many findings":            {[]any{`{"findings":[` + repeat("{}", 1_000_000) + `]}`}, "list of more than"},
		"many nulls":               {[]any{`{"findings":[` + repeat("null", 700_000) + `]}`}, "list of more than"},
		"many bundles":             {[]any{`{"given":{"cluster":0,"bundles":[` + repeat("{}", 1_000_000) + `]}}`}, "list of more than"},
		"many objects":             {[]any{`{"objects":[` + repeat("{}", 1_000_000) + `]}`}, "list of more than"},
		"many reasons":             {[]any{`{"failure":{"id":1,"problems":[` + repeat("{}", 1_000_000) + `]}}`}, "list of more than"},
		"a list that is a map":     {[]any{`{"findings":{}}`}, "has no list"},
		"findings without end":     {frames(5000, fromProcess{Findings: slices.Repeat([]federation.Finding{{Message: untrusted.New("x")}}, 50)}), "more than 60000 findings"},
		"errors without end":       {frames(50_000, fromProcess{Failure: &failure{ID: 1, Problems: []problem{{Text: "x"}}}}), "more than 40,000 reasons"},
		"work without end":         {frames(2000, fromProcess{Begin: &work{Dir: "a", Key: "b"}}), "too much nested work"},
		"work of a long name":      {[]any{fromProcess{Begin: &work{Dir: "a", Key: strings.Repeat("b", 1<<20)}}}, "name is too long"},
		"an error without reason":  {[]any{fromProcess{Failure: &failure{ID: 1}}}, "without a reason"},
		"an object without end":    {[]any{fromProcess{Objects: []object{{ID: 1, Size: 1 << 40}}}}, "empty or too large"},
		"an object of a long name": {[]any{fromProcess{Objects: []object{{ID: 1, Size: 1, File: strings.Repeat("x", 5000)}}}}, "empty or too large"},
		"an unknown object":        {[]any{fromProcess{List: &list{ID: 1, Objects: []uint64{7}}}}, "did not send"},
		"an unknown list":          {[]any{fromProcess{Given: &given{Bundles: []bundle{{List: 9}}}}}, "did not send"},
		"another cluster":          {[]any{fromProcess{Given: &given{Cluster: 3}}}, "out of order"},
		"fewer apps":               {[]any{fromProcess{Given: &given{}}}, "sent no app"},
		"an end too early":         {[]any{fromProcess{End: &end{}}}, "before it sent every cluster"},
		"a number of any size":     {object1(`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"spec":1e999}`), "not a number"},
		"a word spelt otherwise":   {object1(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"fedsync.dev\/kept":"true"},"name":"a"}}`), "not encoded as"},
		"a key that is set twice":  {object1(`{"apiVersion":"v1","kind":"ConfigMap","kind":"Secret","metadata":{"name":"a"}}`), "not encoded as"},
		"something behind":         {object1(fine + `{}`), "not encoded as"},
		"a name that is a path":    {object1(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"../../x"}}`), "is not a valid name"},
		"a namespace that is one":  {object1(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"a/../kube-system"}}`), "is not a valid namespace"},
		"fields of the API server": {object1(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[],"name":"a"}}`), "is set by the API server"},
		"an object twice":          {append(object1(fine), object1(fine)...), "twice"},
		"one object twice in one": {append(object1(fine), fromProcess{Objects: []object{{ID: 2, Size: len(fine)}}}, []byte(fine),
			fromProcess{List: &list{ID: 1, Objects: []uint64{1, 2}}}), "twice in one app"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			said := words(t, test.said...)
			f := listener(said)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := f.follow(&request{})
			runtime.ReadMemStats(&after)
			if err == nil || !containsOne(err.Error(), test.want) {
				t.Errorf("follow = %v, want %q", err, test.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20+25*uint64(len(said)) {
				t.Errorf("%d bytes took %d bytes of memory", len(said), took)
			}
		})
	}
}

func containsOne(text, words string) bool {
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func frames(n int, m fromProcess) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = m
	}
	return all
}

func TestQuestionsAreAnsweredWithinBounds(t *testing.T) {
	files := fstest.MapFS{"a/b.yaml": {Data: []byte("x")}}
	for range 10_000 {
		files["long/"+strings.Repeat("\x01", 1000)+fmt.Sprint(len(files))] = &fstest.MapFile{}
	}
	for want, q := range map[string]question{
		"names in the folder have more than 32 MiB": {Op: "list", Name: "long"},
		"invalid argument":                          {Op: "stat", Name: strings.Repeat("a/", 1<<20) + "a"},
		"file does not exist|invalid":               {Op: "read", Name: "../../etc/passwd", Limit: 1 << 40},
		"no such question":                          {Op: "write", Name: "a"},
	} {
		if a, content := answerTo(files, q); !containsOne(a.Error, want) || content != nil {
			t.Errorf("answer to %s %.20s = %q, want %q", q.Op, q.Name, a.Error, want)
		}
	}
}

// A process that asks questions endlessly, or is silent without using a processor, is
// killed.
func TestAProcessThatOnlyTakesTimeIsKilled(t *testing.T) {
	f := listener(words(t, frames(10, fromProcess{Ask: &question{Op: "list", Name: "."}})...))
	f.answered = total * f.o.Time
	if err := f.follow(&request{}); err == nil || !strings.Contains(err.Error(), "asks more questions than can be answered") {
		t.Errorf("follow = %v", err)
	}
	f = listener(nil)
	f.heard = underWay{at: time.Now().Add(-patience*f.o.Time - time.Second), processor: f.processor()}
	if d := f.overdue(); d == nil || !strings.Contains(d.Error(), "sends nothing for 2m") {
		t.Errorf("overdue = %v, want an error for its silence", d)
	}
}

// Much content is sent in pieces and arrives.
func TestManyObjectsAndMistakesCrossThePipe(t *testing.T) {
	files, f := fstest.MapFS{}, &federation.Federation{Clusters: []federation.Cluster{{Name: "c"}}}
	deep := strings.Repeat("a-folder-with-a-long-name/", 150)
	for i := range 3 {
		name := fmt.Sprintf("%sapp%d", deep, i)
		f.Apps = append(f.Apps, federation.App{Name: fmt.Sprint(i), Path: name})
		var all strings.Builder
		for j := range 5000 {
			fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x-%d-%d}}\n", i, j)
		}
		files[name+"/all.yaml"] = &fstest.MapFile{Data: []byte(all.String())}
	}
	for i := range 400 {
		name := fmt.Sprintf("wrong%d", i)
		f.Apps = append(f.Apps, federation.App{Name: name, Path: name})
		files[name+"/all.yaml"] = &fstest.MapFile{Data: []byte(strings.Repeat("---\n- "+name+"\n", limit.Mistakes+10))}
	}
	w := newWorker(t, Options{Time: patient(DefaultTime)})
	bundles, found := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	for i := range 3 {
		if len(bundles[i].Objects) != 5000 || bundles[i].Err != nil || bundles[i].Objects[17].File != f.Apps[i].Path+"/all.yaml" {
			t.Errorf("app %d has %d objects: %.200v", i, len(bundles[i].Objects), bundles[i].Err)
		}
	}
	first, last := bundles[3].Err, bundles[len(bundles)-1].Err
	if first == nil || !strings.HasSuffix(first.Error(), "and 1 more") {
		t.Errorf("the first error: %.200v", first)
	}
	if last == nil || !strings.Contains(last.Error(), "more than 20,000 mistakes") {
		t.Errorf("the last error: %.200v", last)
	}
	if len(found) < limit.Gathered || len(found) > maxFindings {
		t.Errorf("%d findings", len(found))
	}
}
