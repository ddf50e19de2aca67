package badmember

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// oldModes returns the modes that are specific to HTTP/1.1.
func oldModes() []Mode {
	endless := func(begin, again string) answer {
		return raw(func(w io.Writer) {
			_, err := io.WriteString(w, begin)
			for block := strings.Repeat(again, 1+32<<10/len(again)); err == nil; {
				_, err = io.WriteString(w, block)
			}
		})
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	return []Mode{
		{Name: "chunks of nothing but extensions", Old: true, answer: at(isResource, endless(ok+"Transfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 1000)+"\r\n{\r\n"))},
		{Name: "an extension that goes on", Old: true, answer: at(isResource, endless(ok+"Transfer-Encoding: chunked\r\n\r\n1;", "x"))},
		{Name: "a header that goes on", Old: true, Words: "headers of more than 256 KiB", answer: at(isResource, endless("HTTP/1.1 200 OK\r\nX: ", "x"))},
		{Name: "a status that goes on", Old: true, answer: at(isResource, endless("HTTP/1.1 200 ", "x"))},
		{Name: "hints that go on", Old: true, Words: "misbehaves", answer: at(isResource, endless("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"))},
		{Name: "no HTTP", Old: true, answer: at(isResource, endless("", "SSH-2.0-x\r\n"))},
		{Name: "another protocol", Old: true, Words: "misbehaves", answer: at(isResource, func(s *Server, w http.ResponseWriter, r *http.Request) {
			raw(func(c io.Writer) {
				_, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nLocation: %s\r\n\r\n", s.Elsewhere())
				for err == nil {
					_, err = io.WriteString(c, strings.Repeat("x", 32<<10))
				}
			})(s, w, r)
		})},
		{Name: "answers to nothing", Old: true, answer: at(isResource, endless("", ok+"Content-Length: 2\r\n\r\n{}"))},
		{Name: "two lengths", Old: true, answer: at(isResource, endless(ok+"Content-Length: 2\r\nContent-Length: 2000000\r\n\r\n", "{}"))},
		{Name: "a redirect with a body", Old: true, Words: "with a redirect to", answer: at(isResource, func(s *Server, w http.ResponseWriter, r *http.Request) {
			endless(fmt.Sprintf("HTTP/1.1 301 Moved\r\nLocation: %s\r\nContent-Type: application/json\r\n\r\n", s.Elsewhere()), "{}")(s, w, r)
		})},
	}
}

// raw writes the answer itself, from its first byte.
func raw(write func(io.Writer)) answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // an HTTP/2 connection from before the mode was set
		}
		write(conn)
		_ = conn.Close()
	}
}
