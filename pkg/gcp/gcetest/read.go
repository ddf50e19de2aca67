package gcetest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	labelPattern      = regexp.MustCompile(`^[a-z][-_a-z0-9]{0,62}$`)
	labelValuePattern = regexp.MustCompile(`^[-_a-z0-9]{0,63}$`)
)

func get(q *request) (any, *refusal) {
	r, ok := q.server.visible(q.key)
	if !ok {
		return nil, notFound(q.key)
	}
	return q.server.shown(r), nil
}

// shown returns a resource as a read shows it.
func (s *Server) shown(r *resource) document {
	c := s.collections[r.key.collection]
	if c.view == nil {
		return r.now.doc
	}
	doc := r.now.doc.clone()
	c.view(s, r, doc)
	return doc
}

func list(q *request) (any, *refusal) {
	var all []document
	for _, r := range q.server.sorted(func(r *resource) bool {
		return r.now.doc != nil && r.key.project == q.key.project &&
			r.key.collection == q.key.collection && r.key.scope == q.key.scope
	}) {
		all = append(all, q.server.shown(r))
	}
	return q.page(all, q.collection.kind+"List")
}

// page returns the requested page of a list, filtered and ordered.
func (q *request) page(all []document, kind string) (any, *refusal) {
	items, next, refused := q.cut(all)
	if refused != nil {
		return nil, refused
	}
	out := document{"kind": kind, "id": q.key.path(), "items": items, "selfLink": publicHost + strings.TrimSuffix(q.key.path(), "/")}
	if len(items) == 0 {
		delete(out, "items")
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out, nil
}

// cut returns the items of the requested page, and the token of the next one.
func (q *request) cut(all []document) ([]document, string, *refusal) {
	keep, refused := parseFilter(q.query.Get("filter"))
	if refused != nil {
		return nil, "", refused
	}
	all = slices.DeleteFunc(slices.Clone(all), func(d document) bool { return !keep(d) })
	switch order := q.query.Get("orderBy"); order {
	case "", "name":
	case "creationTimestamp desc":
		slices.SortStableFunc(all, func(a, b document) int {
			return strings.Compare(b.text("creationTimestamp"), a.text("creationTimestamp"))
		})
	default:
		return nil, "", invalid("Invalid value for field 'orderBy': '%s'.", order)
	}
	size := 500
	if text := q.query.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 500 {
			return nil, "", invalid("Invalid value for field 'maxResults': '%s'. Must be from 0 to 500.", text)
		}
		if n > 0 {
			size = n
		}
	}
	from, refused := q.pageStart(len(all))
	if refused != nil {
		return nil, "", refused
	}
	if from+size >= len(all) {
		return all[from:], "", nil
	}
	return all[from : from+size], base64.URLEncoding.EncodeToString([]byte("from:" + strconv.Itoa(from+size))), nil
}

func (q *request) pageStart(n int) (int, *refusal) {
	token := q.query.Get("pageToken")
	if token == "" {
		return 0, nil
	}
	data, err := base64.URLEncoding.DecodeString(token)
	text, ok := strings.CutPrefix(string(data), "from:")
	from, errNumber := strconv.Atoi(text)
	if err != nil || !ok || errNumber != nil || from < 0 {
		return 0, invalid("Invalid value for field 'pageToken': '%s'.", token)
	}
	return min(from, n), nil
}

// aggregatedList lists all scopes. A scope without items has a warning instead.
func aggregatedList(q *request) (any, *refusal) {
	s := q.server
	var all []document
	byLink := map[string]string{}
	for _, r := range s.sorted(func(r *resource) bool {
		return r.now.doc != nil && r.key.project == q.key.project && r.key.collection == q.key.collection
	}) {
		all = append(all, s.shown(r))
		byLink[r.now.doc.text("selfLink")] = r.key.scope
	}
	page, next, refused := q.cut(all)
	if refused != nil {
		return nil, refused
	}
	items := map[string]document{}
	for _, scope := range s.scopes(q.key.project, q.collection.scope) {
		items[scope] = document{"warning": document{
			"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope '" + scope + "' on this page.",
			"data": []document{{"key": "scope", "value": scope}},
		}}
	}
	for _, item := range page {
		scope := byLink[item.text("selfLink")]
		found, _ := items[scope][q.collection.segment].([]document)
		items[scope] = document{q.collection.segment: append(found, item)}
	}
	out := document{
		"kind": q.collection.kind + "AggregatedList", "id": "projects/" + q.key.project + "/aggregated/" + q.collection.segment,
		"items": items, "selfLink": publicHost + "projects/" + q.key.project + "/aggregated/" + q.collection.segment,
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out, nil
}

// scopes returns the scopes of a project in which a collection may have resources.
func (s *Server) scopes(project, kind string) []string {
	if kind == "global" {
		return []string{"global"}
	}
	var out []string
	for k := range s.resources {
		if k.project == project && k.collection == "zones" {
			scope := "zones/" + k.name
			if kind == "regions" {
				scope = "regions/" + regionOf(k.name)
			}
			if !slices.Contains(out, scope) {
				out = append(out, scope)
			}
		}
		if kind == "regions" && k.project == project && k.collection == "subnetworks" && !slices.Contains(out, k.scope) {
			out = append(out, k.scope)
		}
	}
	slices.Sort(out)
	return out
}

var (
	oldFilter = regexp.MustCompile(`^\s*\(?\s*([a-zA-Z.]+)\s+(eq|ne)\s+(.+?)\s*\)?\s*$`)
	// It matches a whole quoted text, or an operator with the blanks around it.
	operatorBlanks = regexp.MustCompile(`("[^"]*")|\s*(!=|=|:)\s*`)
	termFilter     = regexp.MustCompile(`^([a-zA-Z.]+)\s*(!=|=|:)\s*("[^"]*"|[^\s"()]+)$`)
)

// parseFilter parses the filters that the stand-in supports: "name eq REGEXP", "name ne
// REGEXP", and terms "field = value", "field != value", "field : prefix*" joined by AND or
// blanks. It refuses all others.
func parseFilter(filter string) (func(document) bool, *refusal) {
	if strings.TrimSpace(filter) == "" {
		return func(document) bool { return true }, nil
	}
	if m := oldFilter.FindStringSubmatch(filter); m != nil {
		pattern, err := regexp.Compile("^(?:" + strings.Trim(m[3], `"'`) + ")$")
		if err != nil {
			return nil, badFilter(filter)
		}
		return func(d document) bool { return pattern.MatchString(fieldText(d, m[1])) == (m[2] == "eq") }, nil
	}
	var terms []func(document) bool
	for _, term := range splitTerms(filter) {
		m := termFilter.FindStringSubmatch(strings.Trim(term, "()"))
		if m == nil {
			return nil, badFilter(filter)
		}
		terms = append(terms, termMatch(m[1], m[2], strings.Trim(m[3], `"`)))
	}
	return func(d document) bool {
		return !slices.ContainsFunc(terms, func(t func(document) bool) bool { return !t(d) })
	}, nil
}

func badFilter(filter string) *refusal {
	return refuse(http.StatusBadRequest, reasonInvalid, "Invalid value for field 'filter': '%s'. Invalid list filter expression.", filter)
}

func termMatch(field, operator, value string) func(document) bool {
	glob := regexp.MustCompile("(?i)^" + strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, ".*") + "$")
	part := regexp.MustCompile("(?i)" + strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, ".*"))
	return func(d document) bool {
		text := fieldText(d, field)
		switch operator {
		case "!=":
			return !glob.MatchString(text)
		case ":":
			if strings.HasSuffix(value, "*") {
				return glob.MatchString(text)
			}
			return part.MatchString(text)
		default:
			return glob.MatchString(text)
		}
	}
}

// splitTerms splits a filter at blanks outside quotation marks and drops "AND".
func splitTerms(filter string) []string {
	filter = operatorBlanks.ReplaceAllString(filter, "$1$2")
	quoted := false
	terms := strings.FieldsFunc(filter, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && unicode.IsSpace(r)
	})
	return slices.DeleteFunc(terms, func(t string) bool { return t == "AND" })
}

// fieldText returns a field of a document as text; dots lead to fields below it.
func fieldText(d document, field string) string {
	name, rest, below := strings.Cut(field, ".")
	if below {
		inner, _ := d[name].(map[string]any)
		return fieldText(inner, rest)
	}
	switch v := d[name].(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}
