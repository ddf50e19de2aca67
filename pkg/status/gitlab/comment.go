package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	sdk "gitlab.com/gitlab-org/api/client-go"
)

// maxNotes is how many pages of a merge request's notes are searched for ours, oldest
// first.
const maxNotes = 20

// Comment makes text the only note of ours on a merge request.
func (p *Provider) Comment(ctx context.Context, number int64, marker, text string) error {
	if err := p.comment(ctx, number, marker, text); err != nil {
		return fmt.Errorf("comment on gitlab's merge request %d: %w", number, err)
	}
	return nil
}

func (p *Provider) comment(ctx context.Context, number int64, marker, text string) error {
	note, err := p.ours(ctx, number, marker)
	if err != nil {
		return err
	}
	body := marker + "\n" + text
	var response *sdk.Response
	switch {
	case text == "" && note == nil, note != nil && text != "" && note.Body == body:
		return nil
	case text == "":
		response, err = p.api.Notes.DeleteMergeRequestNote(p.project, number, note.ID, sdk.WithContext(ctx))
		if codeOf(response) == http.StatusNotFound {
			return nil // it is gone already
		}
	case note == nil:
		_, response, err = p.api.Notes.CreateMergeRequestNote(p.project, number,
			&sdk.CreateMergeRequestNoteOptions{Body: &body}, sdk.WithContext(ctx))
	default:
		_, response, err = p.api.Notes.UpdateMergeRequestNote(p.project, number, note.ID,
			&sdk.UpdateMergeRequestNoteOptions{Body: &body}, sdk.WithContext(ctx))
	}
	if err != nil {
		return p.explain(ctx, response, err, "")
	}
	return nil
}

// ours returns the note that begins with the marker and that our account wrote; nil if
// there is none. Anyone can write a marker, so the author counts.
func (p *Provider) ours(ctx context.Context, number int64, marker string) (*sdk.Note, error) {
	user, response, err := p.api.Users.CurrentUser(sdk.WithContext(ctx))
	if err != nil {
		return nil, p.explain(ctx, response, err, "")
	}
	order, sort := "created_at", "asc"
	for page := int64(1); page <= maxNotes; page++ {
		notes, response, err := p.api.Notes.ListMergeRequestNotes(p.project, number, &sdk.ListMergeRequestNotesOptions{
			ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize}, OrderBy: &order, Sort: &sort,
		}, sdk.WithContext(ctx))
		if err != nil {
			return nil, p.explain(ctx, response, err, "")
		}
		for _, n := range notes {
			if n == nil || n.System || n.Author.ID != user.ID {
				continue
			}
			if first, _, _ := strings.Cut(n.Body, "\n"); strings.TrimSpace(first) == marker {
				return n, nil
			}
		}
		if response.NextPage == 0 || len(notes) == 0 {
			break
		}
	}
	return nil, nil //nolint:nilnil // there is none
}
