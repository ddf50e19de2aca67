package badmember

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// beginList is the beginning of a list.
const beginList = `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1000","continue":%q},"items":[`

// numbered returns one of endlessly many objects.
func numbered(n int64) string {
	return fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"%[1]d"}}`, n)
}

// pages sends a list with endless pages.
func pages(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	n := s.next.Add(1)
	_, _ = fmt.Fprintf(w, beginList+"%s]}", fmt.Sprintf("c%d", n), numbered(n))
}

// emptyPages sends a list with endless empty pages.
func emptyPages(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"]}", fmt.Sprintf("c%d", s.next.Add(1)))
}

func samePage(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"%s]}", "again", numbered(1))
}

// longToken makes every next request a megabyte long.
func longToken(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, beginList+"]}", strings.Repeat("c", 1<<20))
}

// objects sends one endless page.
func objects(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, beginList+"%s", "", numbered(0))
	for err == nil {
		_, err = fmt.Fprintf(w, ",%s", numbered(s.next.Add(1)))
	}
}

// rest sends a list with endless fields after its objects.
func rest(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, beginList+"]", "")
	for err == nil {
		_, err = fmt.Fprintf(w, `,"k%d":"%s"`, s.next.Add(1), strings.Repeat("x", 1000))
	}
}

// otherList sends other objects each time.
func otherList(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	first := s.next.Add(400)
	_, _ = fmt.Fprintf(w, beginList+"%s", "", numbered(first))
	for i := range int64(399) {
		_, _ = fmt.Fprintf(w, ",%s", numbered(first+i+1))
	}
	_, _ = io.WriteString(w, "]}")
}

// oddGroups sends groups with names that fool a terminal, and versions that refer to each
// other.
func oddGroups(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[`+
		`{"name":"a\u001b[31m\u202e.example.com\n","versions":[{"groupVersion":"../../a?x=1#y","version":".."}],"preferredVersion":{"groupVersion":"b/v1","version":"v1"}},`+
		`{"name":"b","versions":[{"groupVersion":"a/v1","version":"v1"},{"groupVersion":"b/v1","version":"v1"},{"groupVersion":"b/v1","version":"v1"}],"preferredVersion":{"groupVersion":"a/v1","version":"v1"}},`+
		`{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v9","version":"v9"}}]}`)
}
