package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

func (f *Forge) listMerges(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	found := []MergeRequest{}
	for _, m := range f.merges {
		if state := query.Get("state"); state != "all" && state != m.State || query.Has("target_branch") && query.Get("target_branch") != m.TargetBranch {
			continue
		}
		listed := *m
		listed.HeadPipeline = nil // only a single merge request shows it
		found = append(found, listed)
	}
	slices.SortFunc(found, func(a, b MergeRequest) int {
		order := cmp.Compare(a.IID, b.IID)
		if query.Get("order_by") == "updated_at" {
			order = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if query.Get("sort") != "asc" {
			return -order
		}
		return order
	})
	page(w, r, found)
}

// merge returns the requested merge request; if there is none, it answers and returns
// nil.
func (f *Forge) merge(w http.ResponseWriter, r *http.Request) *MergeRequest {
	for _, m := range f.merges {
		if fmt.Sprint(m.IID) == r.PathValue("iid") {
			return m
		}
	}
	forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Not found"))
	return nil
}

func (f *Forge) getMerge(w http.ResponseWriter, r *http.Request) {
	if m := f.merge(w, r); m != nil {
		forgetest.WriteJSON(w, http.StatusOK, m)
	}
}

func (f *Forge) listNotes(w http.ResponseWriter, r *http.Request) {
	m := f.merge(w, r)
	if m == nil {
		return
	}
	found := []*Note{}
	for _, n := range f.notes {
		if n.merge == m.IID {
			found = append(found, n)
		}
	}
	if r.URL.Query().Get("sort") != "asc" {
		slices.Reverse(found)
	}
	page(w, r, found)
}

type noteBody struct {
	Body string `json:"body"`
}

func (f *Forge) createNote(w http.ResponseWriter, r *http.Request) {
	m := f.merge(w, r)
	if m == nil {
		return
	}
	if body, ok := f.noteBody(w, r); ok {
		forgetest.WriteJSON(w, http.StatusCreated, f.addNote(m.IID, f.User, body))
	}
}

func (f *Forge) noteBody(w http.ResponseWriter, r *http.Request) (string, bool) {
	body, ok := read[noteBody](f, w, r)
	if !ok {
		return "", false
	}
	if body.Body == "" || len(body.Body) > 1_000_000 {
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("400 Bad request - Note is invalid"))
		return "", false
	}
	return body.Body, true
}

// note returns the requested note, if the token's account may change it.
func (f *Forge) note(w http.ResponseWriter, r *http.Request) *Note {
	for _, n := range f.notes {
		if fmt.Sprint(n.merge) != r.PathValue("iid") || fmt.Sprint(n.ID) != r.PathValue("note") {
			continue
		}
		if n.Author.ID != f.User {
			forgetest.WriteJSON(w, http.StatusForbidden, forgetest.Message("403 Forbidden"))
			return nil
		}
		return n
	}
	forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Note Not Found"))
	return nil
}

func (f *Forge) updateNote(w http.ResponseWriter, r *http.Request) {
	n := f.note(w, r)
	if n == nil {
		return
	}
	if body, ok := f.noteBody(w, r); ok {
		n.Body = body
		forgetest.WriteJSON(w, http.StatusOK, n)
	}
}

func (f *Forge) deleteNote(w http.ResponseWriter, r *http.Request) {
	if n := f.note(w, r); n != nil {
		f.notes = slices.DeleteFunc(f.notes, func(o *Note) bool { return o == n })
		w.WriteHeader(http.StatusNoContent)
	}
}
