package bitbuckettest

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

var destination = regexp.MustCompile(`^destination\.branch\.name = "([^"\\]*)"$`)

func (f *Forge) listPulls(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	states := query["state"]
	branch := destination.FindStringSubmatch(query.Get("q"))
	if branch == nil || len(states) == 0 {
		f.Fault("pull requests were asked for by %s", r.URL.RawQuery)
		refuse(w, http.StatusBadRequest, "Invalid query")
		return
	}
	var found []*PullRequest
	for _, p := range f.pulls {
		if p.Dest == branch[1] && slices.Contains(states, p.State) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *PullRequest) int {
		if query.Get("sort") == "-updated_on" {
			return b.Edited.Compare(a.Edited)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	listed := []any{}
	for _, p := range found {
		listed = append(listed, f.shown(p))
	}
	page(w, r, listed, 50)
}

// shown returns a pull request as in lists: the commits are abbreviated.
func (f *Forge) shown(p *PullRequest) any {
	side := func(branch, sha, repository string) any {
		return map[string]any{
			"branch": map[string]any{"name": branch}, "commit": map[string]any{"hash": sha[:min(12, len(sha))]},
			"repository": map[string]any{"full_name": repository},
		}
	}
	return map[string]any{
		"id": p.ID, "title": p.Title, "state": p.State, "updated_on": p.Edited,
		"source": side(p.Source, p.SHA, cmp.Or(p.Fork, f.Repository)), "destination": side(p.Dest, "", f.Repository),
	}
}

type commentBody struct {
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
}

func shownComment(c *Comment) any {
	return map[string]any{
		"id": c.ID, "content": map[string]any{"raw": c.Raw}, "user": map[string]any{"uuid": c.Author}, "deleted": c.Deleted,
	}
}

func (f *Forge) listComments(w http.ResponseWriter, r *http.Request) {
	listed := []any{}
	for _, c := range f.comments {
		if fmt.Sprint(c.pull) == r.PathValue("id") {
			listed = append(listed, shownComment(c))
		}
	}
	if r.URL.Query().Get("sort") != "created_on" {
		f.Fault("comments were asked for by %s", r.URL.RawQuery)
	}
	page(w, r, listed, 100)
}

func (f *Forge) createComment(w http.ResponseWriter, r *http.Request) {
	at := slices.IndexFunc(f.pulls, func(p *PullRequest) bool { return fmt.Sprint(p.ID) == r.PathValue("id") })
	if at < 0 {
		refuse(w, http.StatusNotFound, "Pull request not found")
		return
	}
	if raw, ok := f.raw(w, r); ok {
		c := &Comment{ID: int64(100 + len(f.comments)), Author: f.Account, Raw: raw, pull: f.pulls[at].ID}
		f.comments = append(f.comments, c)
		forgetest.WriteJSON(w, http.StatusCreated, shownComment(c))
	}
}

func (f *Forge) raw(w http.ResponseWriter, r *http.Request) (string, bool) {
	body, ok := read[commentBody](f, w, r)
	if !ok {
		return "", false
	}
	if body.Content.Raw == "" || utf8.RuneCountInString(body.Content.Raw) > 32_768 {
		refuse(w, http.StatusBadRequest, "content: raw: Ensure this value has at most 32768 characters.")
		return "", false
	}
	return body.Content.Raw, true
}

// own returns the requested comment, if the token's account wrote it.
func (f *Forge) own(w http.ResponseWriter, r *http.Request) *Comment {
	for _, c := range f.comments {
		if fmt.Sprint(c.pull) != r.PathValue("id") || fmt.Sprint(c.ID) != r.PathValue("comment") || c.Deleted {
			continue
		}
		if c.Author != f.Account {
			refuse(w, http.StatusForbidden, "You do not have permission to edit this comment.")
			return nil
		}
		return c
	}
	refuse(w, http.StatusNotFound, "Comment not found")
	return nil
}

func (f *Forge) editComment(w http.ResponseWriter, r *http.Request) {
	c := f.own(w, r)
	if c == nil {
		return
	}
	if raw, ok := f.raw(w, r); ok {
		c.Raw = raw
		forgetest.WriteJSON(w, http.StatusOK, shownComment(c))
	}
}

func (f *Forge) deleteComment(w http.ResponseWriter, r *http.Request) {
	if c := f.own(w, r); c != nil {
		c.Deleted = true
		w.WriteHeader(http.StatusNoContent)
	}
}
