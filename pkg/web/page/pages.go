package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"reflect"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// Pages are the parsed templates.
type Pages struct{ templates *template.Template }

// New parses the templates. It panics on one that does not parse, which the tests rule
// out.
func New() *Pages {
	return &Pages{template.Must(template.ParseFS(templateFiles, "templates/*.html"))}
}

// Frame is what every page has around its content.
type Frame struct {
	Title   string
	Root    string // relative path to /, so that a proxy may serve fedsync below a path
	JSON    string // path of the same content as JSON, relative to Root; empty for none
	Icon    string // the favicon: a state; empty for none
	Refresh int    // seconds until the page reloads itself; 0 for never
	Live    bool   // the page reloads itself unless it is paused
	Version string
}

// Message is a page without a report.
type Message struct {
	Frame
	Heading string
	Text    string
	Reason  string // why, as an error's text
}

// Subject is the report that a page shows.
type Subject struct {
	Report  *status.Report // never changed
	Now     time.Time
	Current bool // it is the newest report
	Pinned  bool // the page's address names the revision
}

func (s Subject) view(f Frame) view {
	v := newView(s.Report, s.Now)
	v.current, v.root = s.Current, f.Root
	if s.Pinned {
		v.revision = s.Report.Revision.SHA
	}
	return v
}

// Overview returns the page of the whole federation, with links to earlier revisions. It
// sets the frame's title.
func (p *Pages) Overview(f Frame, s Subject, earlier []federation.Revision) ([]byte, error) {
	f.Title = fmt.Sprintf("%s: %s, %s", title(string(s.Report.State)), s.Report.Federation, s.Report.Revision)
	page := s.view(f).reportPage(f, earlier)
	return p.make("report", &page)
}

// Cluster returns the page of one member cluster of the report. It sets the frame's title.
func (p *Pages) Cluster(f Frame, s Subject, c status.Cluster) ([]byte, error) {
	page := s.view(f).clusterPage(f, c)
	return p.make("cluster", &page)
}

// Message returns the page of a message, which is always small.
func (p *Pages) Message(m Message) ([]byte, error) { return p.make("message", &m) }

// make runs a template on the value that page points to. It returns the whole page, so
// that an error does not leave half a page with the client. It cuts every text to
// maxText, so the code that adds a text need not.
func (p *Pages) make(name string, page any) ([]byte, error) {
	shorten(reflect.ValueOf(page).Elem())
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, page); err != nil {
		return nil, fmt.Errorf("write page %s: %w", name, err)
	}
	return untrusted.Visible(b.Bytes()), nil
}

// Asset returns the style sheet or an icon by its name, with its content type.
func Asset(name string) (content []byte, contentType string, found bool) {
	content, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return nil, "", false
	}
	// Two types need no MIME table of the system.
	if strings.HasSuffix(name, ".svg") {
		return content, "image/svg+xml", true
	}
	return content, "text/css; charset=utf-8", true
}

// title returns a word with a capital letter.
func title(word string) string {
	if word == "" {
		return "Unknown"
	}
	return strings.ToUpper(word[:1]) + word[1:]
}
