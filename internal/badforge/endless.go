package badforge

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Endless returns the modes without an end. Each client describes them in its own words.
func Endless() []Mode {
	write := func(begin, again string) func(*Server, http.ResponseWriter, *http.Request) {
		return func(_ *Server, w http.ResponseWriter, _ *http.Request) { endless(w, begin, again) }
	}
	return []Mode{
		{"headers", nil, func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		}},
		{"answer", nil, write(`["`, "x")},
		{"refusal", nil, func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			endless(w, "no: ", "x")
		}},
		{"compressed", nil, func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z, _ := gzip.NewWriterLevel(w, gzip.BestCompression) // the level is valid
			endless(z, `["`, "\x00")
		}},
		{"redirect", nil, func(s *Server, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.Elsewhere()+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}},
		{"redirect to itself", nil, func(_ *Server, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}},
	}
}

// EndlessGit returns the modes without an end of Git's protocol.
func EndlessGit() []Mode {
	head := line(aCommit + " HEAD\x00" + capabilities + "\n")
	nak := line("shallow "+aCommit) + flush + line("NAK\n")
	write := func(begin, again string) func(*Server, http.ResponseWriter, *http.Request) {
		return func(_ *Server, w http.ResponseWriter, _ *http.Request) { endless(w, begin, again) }
	}
	return []Mode{
		{"refs", isRefs, func(_ *Server, w http.ResponseWriter, r *http.Request) {
			_, err := io.WriteString(w, line("# service="+service(r)+"\n")+flush+head)
			for i := 0; err == nil; i++ {
				_, err = io.WriteString(w, line(fmt.Sprintf("%s refs/heads/b%d\n", aCommit, i)))
			}
		}},
		{"progress", isFetch, write(nak, band(2, strings.Repeat("counting ", 1000)))},
		{"shallow", isFetch, write("", line("shallow "+aCommit))},
		{"pack", isFetch, write(nak, band(1, strings.Repeat("PACK", 10_000)))},
		{"progress of a push", isPush, write("", band(2, strings.Repeat("counting ", 1000)))},
		{"report of a push", isPush, write("", band(1, line("unpack ok\n")))},
	}
}

// endless writes a beginning, and then repeats a block until the client stops reading.
func endless(w io.Writer, begin, again string) {
	_, err := io.WriteString(w, begin)
	for block := strings.Repeat(again, 1+32<<10/len(again)); err == nil; {
		_, err = io.WriteString(w, block)
	}
}

// Push reports whether the mode applies only to pushes.
func (m Mode) Push() bool { return m.at != nil && m.at(pushing) }
