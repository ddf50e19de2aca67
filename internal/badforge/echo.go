package badforge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/fedsync/fedsync/internal/canary"
)

// Mode is a way to misbehave. The zero Mode behaves.
type Mode struct {
	Name   string
	at     func(*http.Request) bool // which requests; nil for all
	answer func(s *Server, w http.ResponseWriter, r *http.Request)
}

// An Echo sends back the received credential in one place of its answers.
type Echo struct {
	Name  string
	at    func(*http.Request) bool
	write func(s *Server, w http.ResponseWriter, text string)
}

// Mode returns the mode that echoes in one shape.
func (e Echo) Mode(shape canary.Shape) Mode {
	return Mode{Name: e.Name + ", " + shape.Name, at: e.at, answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
		e.write(s, w, shape.Write(canary.Credential(r)))
	}}
}

// Echoes returns the places in an answer to any HTTP request.
func Echoes() []Echo {
	all := []Echo{
		{"reason phrase", nil, func(_ *Server, w http.ResponseWriter, text string) {
			raw(w, "HTTP/1.1 403 "+oneLine(text)+"\r\nContent-Length: 0\r\n\r\n")
		}},
		{"status line", nil, func(_ *Server, w http.ResponseWriter, text string) { raw(w, "HTTP/1.1 "+oneLine(text)+"\r\n\r\n") }},
		{"protocol", nil, func(_ *Server, w http.ResponseWriter, text string) { raw(w, oneLine(text)+" 200 OK\r\n\r\n") }},
		{"no header", nil, func(_ *Server, w http.ResponseWriter, text string) {
			raw(w, "HTTP/1.1 200 OK\r\n"+strings.ReplaceAll(oneLine(text), ":", "")+"\r\n\r\n")
		}},
		{"length", nil, func(_ *Server, w http.ResponseWriter, text string) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: "+oneLine(text)+"\r\n\r\n")
		}},
		{"encoding", nil, func(_ *Server, w http.ResponseWriter, text string) {
			raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+oneLine(text)+"\r\n\r\n")
		}},
		{"redirect", nil, func(s *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Location", s.Elsewhere()+"/"+url.PathEscape(text)+"?q="+url.QueryEscape(text))
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"redirect to a host", nil, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Location", "http://"+url.PathEscape(oneLine(text))+".localhost:1/")
			w.WriteHeader(http.StatusFound)
		}},
		{"redirect to no URL", nil, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Location", "http://%zz"+oneLine(text))
			w.WriteHeader(http.StatusFound)
		}},
		{"scheme of a redirect", nil, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Location", "ftp://"+url.PathEscape(oneLine(text))+"/")
			w.WriteHeader(http.StatusFound)
		}},
	}
	for _, header := range []string{"WWW-Authenticate", "Retry-After", "X-Error", "Content-Type", "Set-Cookie", "Warning"} {
		all = append(all, Echo{header, nil, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set(header, oneLine(text))
			w.WriteHeader(http.StatusUnauthorized)
		}})
	}
	for _, code := range []int{401, 403, 404, 409, 422, 429, 500, 503} {
		all = append(all,
			Echo{fmt.Sprintf("body of %d", code), nil, func(_ *Server, w http.ResponseWriter, text string) { http.Error(w, text, code) }},
			Echo{fmt.Sprintf("message of %d", code), nil, func(_ *Server, w http.ResponseWriter, text string) { message(w, code, text) }},
		)
	}
	return all
}

// message answers in the format of Gitea.
func message(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": "denied: " + text, "url": text, "errors": []string{text}}) // an error means that the client has gone
}

// ForgeEchoes returns the places in successful answers of forges.
func ForgeEchoes() []Echo {
	get := func(r *http.Request) bool {
		return r.Method == http.MethodGet && (strings.Contains(r.URL.Path+"/", "/statuses/") || strings.HasSuffix(r.URL.Path, "/deployments"))
	}
	return []Echo{
		{"listed statuses", get, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode([]map[string]any{{ // likewise
				"id": 1, "status": text, "context": text, "description": text, "target_url": text, "created_at": "2026-01-01T00:00:00Z",
			}})
		}},
		{"one status", get, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{ // likewise
				"state": text, "key": text, "name": text, "description": text, "url": text, "updated_on": "2026-01-01T00:00:00Z",
			})
		}},
		{"no statuses", get, func(_ *Server, w http.ResponseWriter, text string) { _, _ = fmt.Fprintf(w, "[%q, %s", text, text) }},
		{"time of a status", get, func(_ *Server, w http.ResponseWriter, text string) {
			_ = json.NewEncoder(w).Encode([]map[string]any{{"created_at": text}}) // likewise
		}},
		{"link to the next page", get, func(_ *Server, w http.ResponseWriter, text string) {
			w.Header().Set("Link", "<"+oneLine(text)+">; rel=\"next\"")
			_, _ = io.WriteString(w, "[]")
		}},
	}
}

// Push reports whether the echo applies only to pushes.
func (e Echo) Push() bool {
	return e.at != nil && e.at(pushing)
}

var pushing = &http.Request{URL: &url.URL{Path: "/git-receive-pack"}}
