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

// New parses the templates. It panics on one that does not parse, which a build with a
// passing test cannot hold.
func New() *Pages {
	return &Pages{template.Must(template.ParseFS(templateFiles, "templates/*.html"))}
}

// Frame is what every page has around its content.
type Frame struct {
	Title   string
	Root    string // relative path to /, so that a proxy may serve us below a path
	JSON    string // path of the same as JSON, relative to Root; empty for none
	Icon    string // the favicon: the state, or none
	Refresh int    // seconds until the page loads itself anew; 0 for never
	Live    bool   // it would refresh, and refreshes unless paused
	Version string
}

// Message says one thing, without a report.
type Message struct {
	Frame
	Heading string
	Text    string
	Reason  string // why, as somebody else says it
}

// Subject is the report that a page shows.
type Subject struct {
	Report  *status.Report // nobody changes it
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

// Overview makes the page of the whole federation, with links to earlier revisions. It
// gives the frame its title.
func (p *Pages) Overview(f Frame, s Subject, earlier []federation.Revision) ([]byte, error) {
	f.Title = fmt.Sprintf("%s: %s, %s", title(string(s.Report.State)), s.Report.Federation, s.Report.Revision)
	page := s.view(f).reportPage(f, earlier)
	return p.make("report", &page)
}

// Cluster makes the page of one member cluster of the report. It gives the frame its title.
func (p *Pages) Cluster(f Frame, s Subject, c status.Cluster) ([]byte, error) {
	page := s.view(f).clusterPage(f, c)
	return p.make("cluster", &page)
}

// Message makes a page that is small, whatever there is to report.
func (p *Pages) Message(m Message) ([]byte, error) { return p.make("message", &m) }

// make runs a template on what page points to, all of it before the first byte is
// sent, so that an error is an error and not half a page. No text that it shows is
// longer than maxText: whoever adds one to a page need not think of it.
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
	// By the name's ending; the two kinds that there are need no system's table.
	if strings.HasSuffix(name, ".svg") {
		return content, "image/svg+xml", true
	}
	return content, "text/css; charset=utf-8", true
}

// title gives a word its capital letter.
func title(word string) string {
	if word == "" {
		return "Unknown"
	}
	return strings.ToUpper(word[:1]) + word[1:]
}
