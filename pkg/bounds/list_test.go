package bounds

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/failure"
)

// lists returns a client of Services whose lists all get the same text.
func lists(t *testing.T, guarded bool, text string) dynamic.ResourceInterface {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	})
	client := s.Client
	if !guarded {
		client = &http.Client{Transport: s.Client.Transport.(interface{ WrappedRoundTripper() http.RoundTripper }).WrappedRoundTripper()}
	}
	c, err := dynamic.NewForConfigAndClient(&rest.Config{Host: s.url}, client)
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(schema.GroupVersionResource{Version: "v1", Resource: "services"})
}

func TestAPageIsReadObjectByObject(t *testing.T) {
	const metadata = `"metadata":{"resourceVersion":"7","continue":"more","x":[1,{"items":[]}]}`
	items := `"items":[{"metadata":{"name":"a","generation":12345678901234567}},{"kind":"Odd","apiVersion":"odd/v1","metadata":{"name":"b"},"f":1.5}]`
	for name, text := range map[string]string{
		"as an API server":     `{"kind":"ServiceList","apiVersion":"v1",` + metadata + `,` + items + "}\n",
		"the metadata at last": `{"kind":"ServiceList","apiVersion":"v1",` + items + `,` + metadata + `}`,
	} {
		for _, guarded := range []bool{true, false} {
			var got []string
			page, err := List(t.Context(), lists(t, guarded, text), metav1.ListOptions{Limit: 2}, func(u *unstructured.Unstructured) error {
				got = append(got, fmt.Sprintf("%s %s %s %d %v", u.GetAPIVersion(), u.GetKind(), u.GetName(), u.GetGeneration(), u.Object["f"]))
				return nil
			})
			if err != nil || page != (Page{"7", "more", 2}) {
				t.Errorf("%s, guarded %v: %+v, %v", name, guarded, page, err)
			}
			if want := []string{"v1 Service a 12345678901234567 <nil>", "odd/v1 Odd b 0 1.5"}; !slices.Equal(got, want) {
				t.Errorf("%s, guarded %v: objects %q, want %q", name, guarded, got, want)
			}
		}
	}
}

func TestAPageWithoutObjects(t *testing.T) {
	for _, text := range []string{`{"kind":"ServiceList","apiVersion":"v1","metadata":{},"items":null}`, `{"kind":"ServiceList","apiVersion":"v1","metadata":{}}`} {
		page, err := List(t.Context(), lists(t, true, text), metav1.ListOptions{Limit: 2}, func(*unstructured.Unstructured) error { return nil })
		if err != nil || page != (Page{}) {
			t.Errorf("%s: %+v, %v", text, page, err)
		}
	}
}

func TestAnInvalidPage(t *testing.T) {
	object := `{"metadata":{"name":"a"}},`
	for name, c := range map[string]struct {
		text, want string
		misbehaves bool
	}{
		"no JSON":        {"<html>", "invalid character", false},
		"a value":        {`"x"`, "a list begins with x", false},
		"no array":       {`{"kind":"ServiceList","apiVersion":"v1","items":"x"}`, "the items of a list are a string", false},
		"no kind":        {`{"items":[{"metadata":{"name":"a"}}]}`, "the objects of a list have no kind", false},
		"cut":            {`{"kind":"ServiceList","apiVersion":"v1","items":[` + object, "EOF", false},
		"a long object":  {`{"kind":"ServiceList","apiVersion":"v1","items":[{"a":"` + strings.Repeat("x", 2*ObjectBytes), "an object of more than 4 MiB", true},
		"a dense object": {`{"kind":"ServiceList","apiVersion":"v1","items":[{"a":[` + strings.Repeat("1,", ObjectValues) + `1]}]}`, "an object of more than 250000 values", true},
		"a long rest":    {`{"kind":"ServiceList","apiVersion":"v1","items":[],` + strings.Repeat(`"a":"`+strings.Repeat("x", 1<<20)+`",`, 5) + `"b":1}`, "an object of more than 4 MiB", true},
		"nothing":        {`{"kind":"ServiceList","apiVersion":"v1","items":[` + strings.Repeat(" ", 2*ObjectBytes), "an object of more than 4 MiB", true},
		"many objects":   {`{"kind":"ServiceList","apiVersion":"v1","items":[` + strings.Repeat(object, Objects+1), "more than 100000 objects on a page", true},
		"a long token":   {`{"kind":"ServiceList","apiVersion":"v1","metadata":{"continue":"` + strings.Repeat("x", tokenMost+1) + `"},"items":[]}`, "a continue token of more than 16 KiB", true},
	} {
		_, err := List(t.Context(), lists(t, true, c.text), metav1.ListOptions{Limit: 2}, func(*unstructured.Unstructured) error { return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, ok := errors.AsType[*failure.Misbehaviour](err); ok != c.misbehaves {
			t.Errorf("%s: %v is a misbehaviour: %v", name, err, ok)
		}
	}
}

func TestAVisitEndsAPage(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	_, err := List(t.Context(), lists(t, true, `{"kind":"ServiceList","apiVersion":"v1","items":[{"a":1},{"a":2},{"a":3}]}`), metav1.ListOptions{Limit: 2},
		func(*unstructured.Unstructured) error {
			if n++; n == 2 {
				return enough
			}
			return nil
		})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("after %d objects: %v, want %v after 2", n, err, enough)
	}
}

// The amount that a server may send before it is read is bounded.
func TestUnreadAnswersAreBounded(t *testing.T) {
	var sent atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for {
			n, err := w.Write(make([]byte, 16<<10))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	resp, err := s.Get(s.url + "/api/v1/services?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for before := int64(-1); before != sent.Load(); {
		before = sent.Load()
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // there is no event to wait for when nothing happens
	}
	if n := sent.Load(); n < StreamBytes/2 || n > 2*StreamBytes {
		t.Errorf("the server sent %d KiB that are not read, want about %d", n>>10, StreamBytes>>10)
	}
}

func TestOnlyJSONIsRead(t *testing.T) {
	for kind, misbehaves := range map[string]bool{
		"application/json": false, "application/json; charset=utf-8": false,
		"application/cbor": true, "application/vnd.kubernetes.protobuf": true, "text/html": true, "": true, "???": true,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{kind}
			_, _ = io.WriteString(w, "{}")
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json, */*")
		resp, err := s.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if _, ok := errors.AsType[*failure.Misbehaviour](err); ok != misbehaves {
			t.Errorf("%q: %v is a misbehaviour: %v", kind, err, ok)
		}
	}
}
