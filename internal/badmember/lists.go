package badmember

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// beginList is what a list begins with.
const beginList = `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1000","continue":%q},"items":[`

// numbered is one of endlessly many objects.
func numbered(n int64) string {
	return fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"%[1]d"}}`, n)
}

// pages are lists that go on.
func pages(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	n := s.next.Add(1)
	_, _ = fmt.Fprintf(w, beginList+"%s]}", fmt.Sprintf("c%d", n), numbered(n))
}

// emptyPages go on with nothing on them.
func emptyPages(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"]}", fmt.Sprintf("c%d", s.next.Add(1)))
}

func samePage(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"%s]}", "again", numbered(1))
}

// longToken has every next request be a megabyte.
func longToken(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"]}", strings.Repeat("c", 1<<20))
}

// objects are one page that goes on.
func objects(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, beginList+"%s", "", numbered(0))
	for err == nil {
		_, err = fmt.Fprintf(w, ",%s", numbered(s.next.Add(1)))
	}
}

// rest is a list with endlessly much besides its objects.
func rest(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, beginList+"]", "")
	for err == nil {
		_, err = fmt.Fprintf(w, `,"k%d":"%s"`, s.next.Add(1), strings.Repeat("x", 1000))
	}
}

// otherList has other objects each time.
func otherList(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	first := s.next.Add(400)
	_, _ = fmt.Fprintf(w, beginList+"%s", "", numbered(first))
	for i := range int64(399) {
		_, _ = fmt.Fprintf(w, ",%s", numbered(first+i+1))
	}
	_, _ = io.WriteString(w, "]}")
}

// oddGroups have names that fool a terminal, and versions that name each other.
func oddGroups(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[`+
		`{"name":"a\u001b[31m\u202e.example.com\n","versions":[{"groupVersion":"../../a?x=1#y","version":".."}],"preferredVersion":{"groupVersion":"b/v1","version":"v1"}},`+
		`{"name":"b","versions":[{"groupVersion":"a/v1","version":"v1"},{"groupVersion":"b/v1","version":"v1"},{"groupVersion":"b/v1","version":"v1"}],"preferredVersion":{"groupVersion":"a/v1","version":"v1"}},`+
		`{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v9","version":"v9"}}]}`)
}
