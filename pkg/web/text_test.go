package web

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// FuzzTextNeverBecomesMarkup puts a text into every string of a report. The pages must
// have the same elements and attributes as for a harmless text.
func FuzzTextNeverBecomesMarkup(f *testing.F) {
	for _, s := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onclick='x", "javascript:alert(1)",
		"</title></bdi></td><!--", "{{.}}", "<![CDATA[x]]>", "&lt;script&gt;", "\x00<\x1b\u202e\u2028", "\xff<svg/onload=x>", "%3Cscript%3E", "../../x?y#z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }) == "" {
			return // an empty text may have no element
		}
		if strings.Contains(text, "..") || url.PathEscape(text) == "." {
			text = "x" + text
		}
		want, got := pagesWith(t, "harmless"), pagesWith(t, text)
		for path := range want {
			if diff := cmp.Diff(markup(t, want[path]), markup(t, got[path])); diff != "" {
				t.Errorf("%q changes the markup of %s, -want +got:\n%s", text, path, diff)
			}
			if strings.Contains(strings.ToLower(string(got[path])), "<script") {
				t.Errorf("%q makes a script of %s", text, path)
			}
			if bytes.ContainsFunc(got[path], untrusted.Hidden) || !utf8.Valid(got[path]) {
				t.Errorf("%q hides characters in %s", text, path)
			}
		}
	})
}

// pagesWith returns the pages of a report whose every string is text, and other answers
// with such text, by their kind.
func pagesWith(t *testing.T, text string) map[string][]byte {
	t.Helper()
	r := &status.Report{}
	fill(reflect.ValueOf(r).Elem(), text)
	h := New(Options{
		Report:    func() *status.Report { return r },
		Revisions: func() []federation.Revision { return []federation.Revision{{Ref: text, SHA: newestSHA}} },
		Version:   text,
	})
	pages := map[string][]byte{
		"/":         get(t, h, "/").Body.Bytes(),
		"/clusters": get(t, h, "/clusters/"+url.PathEscape(text)).Body.Bytes(),
		"/nothing":  get(t, h, "/revisions/"+url.PathEscape(text)).Body.Bytes(),
		"/starting": get(t, New(Options{Ready: func() error { return errors.New(text) }}), "/").Body.Bytes(),
	}
	api := get(t, h, "/api/v1/report").Body.Bytes()
	if !json.Valid(api) || strings.Contains(strings.ToLower(string(api)), "<script") {
		t.Errorf("%q breaks the JSON: %s", text, api)
	}
	return pages
}

// fill sets every string to text, every number to 1 and every time to one long ago, and
// adds one entry to every list and map.
func fill(v reflect.Value, text string) {
	switch kind := v.Kind(); {
	case kind == reflect.String:
		v.SetString(text)
	case kind == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case kind == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		entry := reflect.New(v.Type().Elem()).Elem()
		fill(entry, text)
		v.SetMapIndex(reflect.ValueOf(text).Convert(v.Type().Key()), entry)
	case v.Type() == reflect.TypeFor[untrusted.Text]():
		v.Set(reflect.ValueOf(untrusted.New(text)))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
	case kind == reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, text)
		}
	case v.CanInt():
		v.SetInt(1)
	}
}

// markup returns a page's elements and the names of their attributes. The pages are also
// well-formed XML, so a strict parser reads them.
func markup(t *testing.T, page []byte) []string {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	var all []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("read the page: %v\n%s", err, page)
		}
		switch token := token.(type) {
		case xml.StartElement:
			words := []string{token.Name.Local}
			for _, a := range token.Attr {
				words = append(words, a.Name.Local)
				if token.Name.Local == "a" && strings.HasPrefix(a.Value, "#") {
					t.Errorf("a link to %s would stop the page's refresh", a.Value)
				}
				if a.Name.Local == "href" && !strings.HasPrefix(a.Value, ".") && !strings.HasPrefix(a.Value, "#") && !strings.HasPrefix(a.Value, "?") {
					t.Errorf("a link leads to another site: %q", a.Value)
				}
			}
			all = append(all, strings.Join(words, " "))
		case xml.Comment:
			t.Errorf("the page has a comment: %s", token)
		case xml.EndElement, xml.CharData, xml.ProcInst, xml.Directive:
		}
	}
}

func TestLargeFederationsFitOnAPage(t *testing.T) {
	r := &status.Report{Revision: federation.Revision{SHA: newestSHA}}
	for i := range 1000 {
		c := status.Cluster{Name: "c" + strings.Repeat("x", i%7), State: federation.ClusterReady, Health: federation.Healthy}
		if i == 500 {
			c.Name, c.Health = "troubled", federation.Degraded
		}
		for range 5 {
			c.Objects = append(c.Objects, federation.Observation{Object: federation.ObjectRef{Kind: "Service", Name: "of-" + c.Name}})
		}
		r.Clusters = append(r.Clusters, c)
		r.Findings = append(r.Findings, federation.Finding{Severity: federation.SeverityWarning, Message: untrusted.New("m")})
		r.Addresses = append(r.Addresses, status.Address{Address: "192.0.2.1", Clusters: []string{c.Name}})
	}
	page := get(t, New(Options{Report: func() *status.Report { return r }}), "/").Body.String()
	for _, want := range []string{"of-troubled", "Those of 999 more clusters", "800 more in the JSON", "950 more in the JSON"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of 1000 clusters does not contain %q", want)
		}
	}
	if strings.Contains(page, "of-cx") || len(page) > 2<<20 {
		t.Errorf("the page has %d bytes, and objects of healthy clusters", len(page))
	}
}

func TestManyDecisionsFitOnAPage(t *testing.T) {
	r := &status.Report{Revision: federation.Revision{SHA: newestSHA}}
	for i := range 1000 {
		r.Clusters = append(r.Clusters, status.Cluster{Name: fmt.Sprintf("c%04d", i), State: federation.ClusterReady})
	}
	for i := range 200 {
		name := fmt.Sprintf("w%03d", i)
		port := federation.PortDecision{
			Service: federation.ObjectRef{Kind: "Service", Name: name}, Port: 80, Protocol: "TCP", NodePort: int32(30000 + i), Basis: federation.PortPinned,
		}
		workload := federation.ReplicasDecision{Object: federation.ObjectRef{Kind: "ReplicaSet", Name: name}, Total: 1000}
		for _, c := range r.Clusters {
			s := federation.ReplicasShare{Cluster: c.Name, Share: 1, Replicas: 1, Live: 1, Basis: federation.ShareByWeight}
			if i == 190 && c.Name == "c0900" {
				s.Basis, s.Live = federation.ShareByCapacity, 1
			}
			workload.Shares = append(workload.Shares, s)
			if i == 195 {
				port.Clashes = append(port.Clashes, federation.PortClash{Cluster: c.Name})
			}
		}
		r.Ports, r.Replicas = append(r.Ports, port), append(r.Replicas, workload)
	}
	page := get(t, New(Options{Report: func() *status.Report { return r }}), "/").Body.String()
	for _, want := range []string{
		">30195<", "and in 980 more clusters", "100 more in the JSON",
		"w190", "no room for more", "960 more clusters in the JSON", "150 more in the JSON",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of 200 workloads in 1000 clusters does not contain %q", want)
		}
	}
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes, want at most 2 MiB", len(page))
	}
}
