package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each testdata/NAME.json is a report and, to the byte, the API's answer for it.
// NAME.html is its page, NAME.cluster.html the page of its last cluster.
func TestPagesMatchTheGoldenFiles(t *testing.T) {
	for name, report := range reports(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(Options{
					Report:    func() *status.Report { return report },
					Revisions: func() []federation.Revision { return revisions },
					Version:   "v1.0.0",
				})
				// The page shows ages: render it three seconds after the report
				// was made.
				<-time.After(time.Until(report.Time.Add(3 * time.Second)))

				golden(t, name+".json", get(t, h, "/api/v1/report").Body.Bytes())
				golden(t, name+".html", get(t, h, "/").Body.Bytes())
				if n := len(report.Clusters); n > 0 {
					path := "/clusters/" + url.PathEscape(report.Clusters[n-1].Name)
					golden(t, name+".cluster.html", get(t, h, path).Body.Bytes())
				}
			})
		})
	}
}

func TestThePageBeforeTheFirstReportMatchesTheGoldenFile(t *testing.T) {
	golden(t, "starting.html", get(t, New(Options{Ready: func() error {
		return errNotFetched
	}}), "/").Body.Bytes())
}

var revisions = []federation.Revision{
	{Ref: "main", SHA: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"},
	{Ref: "main", SHA: "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"},
	{Ref: "", SHA: "9f8e7d6c0000000000000000000000000000000f"},
}

// reports reads the reports of testdata by name. It fails the test if status.Report has
// lost a field: clients of the API rely on it.
func reports(t testing.TB) map[string]*status.Report {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("read testdata: %d files, %v", len(files), err)
	}
	all := map[string]*status.Report{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(content))
		d.DisallowUnknownFields()
		var r status.Report
		if err := d.Decode(&r); err != nil {
			t.Fatalf("decode %s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = &r
	}
	return all
}

func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (go test ./pkg/web -update rewrites it), -want +got:\n%s", file, diff)
	}
}
