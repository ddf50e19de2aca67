package markdown_test

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/markdown"
)

// forgeReads matches what forges interpret in the text of a rendered page: mentions,
// references to issues, merge requests and milestones, and links.
var forgeReads = regexp.MustCompile(`(?i)[@#!%][a-z0-9]|\bgh-[0-9]|://|www\.[a-z]`)

// An escaped sign is a plain one again in the page, where forges search for mentions.
func TestEscapedTextIsHarmlessInTheRenderedPage(t *testing.T) {
	for _, text := range []string{
		"@everyone", "a@b.example", "owner/repo#12", "#12", "GH-12", "gh-12", "!12", "%12", "https://evil.example", "www.evil.example", "&#64;all", `\@all`,
	} {
		written := markdown.Inline(text)
		// Markdown removes a backslash before a sign, and the page has the signs of entities.
		page := html.UnescapeString(regexp.MustCompile(`\\\\([[:punct:]])`).ReplaceAllString(written, "$1"))
		if found := forgeReads.FindString(page); found != "" && !strings.HasPrefix(text, "&") {
			t.Errorf("Inline(%q) = %q, in which a forge reads %q", text, written, found)
		}
	}
	if got := markdown.Inline("plain: 3 of 4 (a-b)"); got != "plain: 3 of 4 (a-b)" {
		t.Errorf("plain text is %q", got)
	}
}

func TestLinesWithoutRoomAreCounted(t *testing.T) {
	s := markdown.New(1000)
	s.List("many", strings.Split(strings.Repeat("- a line of text\n", 100), "\n")[:100])
	if text := s.String(); len(text) > 1000 || !regexp.MustCompile(`_and [0-9]+ more_`).MatchString(text) {
		t.Errorf("%d bytes:\n%s", len(text), text)
	}
}
