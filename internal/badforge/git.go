package badforge

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	aCommit      = "1111111111111111111111111111111111111111"
	capabilities = "multi_ack shallow side-band-64k ofs-delta report-status allow-reachable-sha1-in-want"
)

func isRefs(r *http.Request) bool    { return strings.HasSuffix(r.URL.Path, "/info/refs") }
func isFetch(r *http.Request) bool   { return strings.HasSuffix(r.URL.Path, "/git-upload-pack") }
func isPush(r *http.Request) bool    { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }
func service(r *http.Request) string { return r.URL.Query().Get("service") }

// line returns a pkt-line of Git's protocol.
func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// band returns a pkt-line in one of the sidebands of an answer.
func band(number byte, text string) string { return line(string(number) + text) }

const flush = "0000"

func advertising(refs func(text string) []string) func(*Server, http.ResponseWriter, string) {
	return func(_ *Server, w http.ResponseWriter, text string) {
		_, _ = io.WriteString(w, line("# service=git-upload-pack\n")+flush+strings.Join(refs(text), "")+flush)
	}
}

func answering(answer func(text string) string) func(*Server, http.ResponseWriter, string) {
	return func(_ *Server, w http.ResponseWriter, text string) { _, _ = io.WriteString(w, answer(text)) }
}

// ref returns roughly a valid name of a Git ref.
func ref(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' {
			return '_'
		}
		return r
	}, text)
}

// GitEchoes returns the places in Git's protocol.
func GitEchoes() []Echo {
	head := func(more string) string { return line(aCommit + " HEAD\x00" + capabilities + more + "\n") }
	return []Echo{
		{"ERR", isRefs, advertising(func(text string) []string { return []string{line("ERR " + text)} })},
		{"service", isRefs, answering(func(text string) string { return line("# service="+text+"\n") + flush })},
		{"no lines", isRefs, answering(func(text string) string { return text })},
		{"no commit", isRefs, advertising(func(text string) []string { return []string{line(text + " HEAD\x00" + capabilities + "\n")} })},
		{"second commit", isRefs, advertising(func(text string) []string { return []string{head(""), line(text + " refs/heads/main\n")} })},
		{"capability", isRefs, advertising(func(text string) []string { return []string{head(" " + ref(text) + " agent=" + ref(text))} })},
		{"HEAD", isRefs, advertising(func(text string) []string {
			return []string{head(" symref=HEAD:refs/heads/" + ref(text)), line(aCommit + " refs/heads/" + ref(text) + "\n")}
		})},
		{"branches", isRefs, advertising(func(text string) []string {
			return []string{line(aCommit + " refs/heads/" + ref(text) + "\x00" + capabilities + "\n"), line(aCommit + " refs/tags/" + ref(text) + "\n")}
		})},
		{"shallow", isRefs, advertising(func(text string) []string { return []string{head(""), line("shallow " + text + "\n")} })},
		{"ERR to a fetch", isFetch, answering(func(text string) string { return line("ERR " + text) })},
		{"answer to a fetch", isFetch, answering(func(text string) string { return line(text) + flush })},
		{"shallow in a fetch", isFetch, answering(func(text string) string { return line("shallow "+text) + flush })},
		{"text for a pack", isFetch, answering(func(text string) string { return line("shallow "+aCommit) + flush + line("NAK\n") + text })},
		{"progress", isFetch, answering(func(text string) string {
			return line("shallow "+aCommit) + flush + line("NAK\n") + band(2, text) + band(3, text)
		})},
		{"band", isFetch, answering(func(text string) string { return line("shallow "+aCommit) + flush + line("NAK\n") + band(9, text) })},
		{"no pack", isFetch, answering(func(text string) string {
			return line("shallow "+aCommit) + flush + line("NAK\n") + band(1, "PACK"+text) + flush
		})},
		{"unpack", isPush, answering(func(text string) string { return band(1, line("unpack "+text+"\n")+flush) + flush })},
		{"refusal", isPush, answering(func(text string) string {
			return band(2, "remote: "+text) + band(1, line("unpack ok\n")+line("ng refs/notes/fedsync "+text+"\n")+flush) + flush
		})},
		{"report", isPush, answering(func(text string) string { return band(1, line(text)+flush) + flush })},
		{"error of a push", isPush, answering(func(text string) string { return band(3, text) + flush })},
	}
}
