package badmember

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// trailers sends headers after the body.
func trailers(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1"`)
	_ = http.NewResponseController(w).Flush() // or there would be a Content-Length
	for i := range 2000 {
		w.Header().Set(fmt.Sprintf("%sX-%d", http.TrailerPrefix, i), strings.Repeat("x", 1000))
	}
}

// informational sends endless hints that the answer will come.
func informational(_ *Server, w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		w.Header().Set("Link", strings.Repeat("x", 1000))
		w.WriteHeader(http.StatusEarlyHints)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// redirects uses all codes of redirects, and all ways to write their targets.
func redirects(s *Server, w http.ResponseWriter, r *http.Request) {
	n := int(s.next.Add(1))
	host := strings.TrimPrefix(s.Elsewhere(), "http://")
	codes := []int{300, 301, 302, 303, 305, 307, 308}
	forms := []string{"http://" + host, "//" + host, "http://user:pass@" + host, "HTTP://" + host + "/a/..", `\\` + host}
	w.Header().Set("Location", forms[n%len(forms)]+r.URL.Path)
	w.WriteHeader(codes[n%len(codes)])
}

// elsewhere has the store answer, and adds headers that name another host.
func elsewhere(s *Server, w http.ResponseWriter, r *http.Request) bool {
	host := strings.TrimPrefix(s.Elsewhere(), "http://")
	for name, value := range map[string]string{
		"Alt-Svc": fmt.Sprintf(`h2=%q; ma=86400, http/1.1=%[1]q`, host), "Link": "<" + s.Elsewhere() + ">; rel=preload",
		"Refresh": "0; url=" + s.Elsewhere(), "Content-Location": s.Elsewhere(), "Location": s.Elsewhere(),
		"Access-Control-Allow-Origin": "*", "Set-Cookie": "a=b; Domain=127.0.0.1", "X-Forwarded-Host": host,
		"Strict-Transport-Security": "max-age=1", "Alternates": `{"` + s.Elsewhere() + `" 1.0}`,
	} {
		w.Header().Set(name, value)
	}
	return false
}

// challenge asks for other credentials, at another host.
func challenge(s *Server, w http.ResponseWriter, _ *http.Request) {
	n := s.next.Add(1)
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.Elsewhere()+`", Basic realm="x", Negotiate`)
	w.Header().Set("Proxy-Authenticate", `Basic realm="`+s.Elsewhere()+`"`)
	status(w, []int{http.StatusUnauthorized, http.StatusProxyAuthRequired}[n%2], "who are you?")
}

// signInPage answers with a web page.
func signInPage(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<html><body>Sign in</body></html>")
}

// encoded sends an endless CBOR text that contains the end of a JSON event.
func encoded(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/cbor-seq")
	_, err := io.WriteString(w, "\x7b\x00\x00\x00\xff\xff\xff\xff\xff")
	for block := strings.Repeat("{}", 16<<10); err == nil; {
		_, err = io.WriteString(w, block)
	}
}

// comesAndGoes fails every second request, including probes.
func comesAndGoes(s *Server, w http.ResponseWriter, _ *http.Request) bool {
	if s.next.Add(1)%2 == 0 {
		status(w, http.StatusInternalServerError, "not now")
		return true
	}
	return false
}
