package bitbucket

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	pageSize = 50 // Bitbucket's limit for pull requests
	maxPages = 20 // of open pull requests, newest first
	// recent is how many of the last changed pull requests are compared to detect a
	// change.
	recent = 20
	// maxResolved bounds the abbreviated commits that one call resolves.
	maxResolved = 50
)

// pulls is the last known state of a branch's pull requests.
type pulls struct {
	branch string
	digest [sha256.Size]byte // of the last changed pull requests
	full   map[string]string // full commits by the abbreviations in lists
}

// pull is a pull request in Bitbucket's format.
type pull struct {
	ID        int64  `json:"id"`
	Title     string `json:"title"`
	State     string `json:"state"`
	UpdatedOn string `json:"updated_on"`
	Source    end    `json:"source"`
	Dest      end    `json:"destination"`
}

// end is a side of a pull request.
type end struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
	Commit struct {
		Hash string `json:"hash"` // its first 12 digits
	} `json:"commit"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

type page struct {
	Values []pull `json:"values"`
	Next   string `json:"next"`
}

// Open lists the open pull requests into a branch, newest first, except those from forks:
// Bitbucket has no ref for a pull request, so their commits cannot be fetched from this
// repository.
//
// Bitbucket has no conditional requests. Its list of the last changed pull requests, in
// any state, is the same only if none changed.
func (p *Provider) Open(ctx context.Context, branch string) ([]status.PullRequest, bool, error) {
	digest, err := p.digest(ctx, branch)
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of bitbucket: %w", err)
	}
	if p.pulls.branch == branch && p.pulls.digest == digest {
		return nil, false, nil
	}
	var found []pull
	for n := 1; n <= maxPages; n++ {
		list, err := p.list(ctx, branch, []string{"OPEN"}, "-created_on", n, pageSize)
		if err != nil {
			return nil, false, fmt.Errorf("list pull requests of bitbucket: %w", err)
		}
		found = append(found, list.Values...)
		if list.Next == "" || len(list.Values) == 0 {
			break
		}
	}
	open, complete, err := p.pullRequests(ctx, found, branch)
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of bitbucket: %w", err)
	}
	p.pulls.branch, p.pulls.digest = branch, digest
	if !complete {
		p.pulls.branch = "" // the next call continues
	}
	return open, true, nil
}

// digest returns a digest of the state of a branch's pull requests.
func (p *Provider) digest(ctx context.Context, branch string) ([sha256.Size]byte, error) {
	list, err := p.list(ctx, branch, []string{"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}, "-updated_on", 1, recent)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	content, err := json.Marshal(list.Values)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(content), nil
}

// list requests a page by its number. It does not follow the address of the next page in
// Bitbucket's answer, which could lead to any host.
func (p *Provider) list(ctx context.Context, branch string, states []string, sort string, number, size int) (page, error) {
	query := url.Values{
		"state": states, "sort": {sort}, "page": {strconv.Itoa(number)}, "pagelen": {strconv.Itoa(size)},
		"q": {"destination.branch.name = " + quoted(branch)},
	}
	var list page
	err := p.do(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.path + "/pullrequests?" + query.Encode(), Into: &list}, "")
	return list, err
}

// quoted quotes a string for Bitbucket's query language.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// pullRequests returns the pull requests that match the request, with full commits, and
// whether none is missing.
func (p *Provider) pullRequests(ctx context.Context, found []pull, branch string) (open []status.PullRequest, complete bool, err error) {
	slices.SortFunc(found, func(a, b pull) int { return cmp.Compare(b.ID, a.ID) })
	found = slices.CompactFunc(found, func(a, b pull) bool { return a.ID == b.ID }) // a page may shift while it is read
	known, asked, complete := map[string]string{}, 0, true
	for _, f := range found {
		short := f.Source.Commit.Hash
		if f.State != "OPEN" || f.Dest.Branch.Name != branch || short == "" || f.Source.Branch.Name == "" ||
			!strings.EqualFold(f.Source.Repository.FullName, p.name) {
			continue
		}
		sha, ok := p.pulls.full[short]
		if !ok {
			if asked++; asked > maxResolved {
				complete = false
				continue
			}
			if sha, err = p.resolve(ctx, short); err != nil {
				return nil, false, err
			}
		}
		if sha == "" {
			continue // it is gone: the pull request has a new head, and so a new state
		}
		known[short] = sha
		open = append(open, status.PullRequest{
			Number: f.ID, Title: p.client.Secrets.Clean(f.Title), Head: sha,
			Ref: "refs/heads/" + f.Source.Branch.Name, Base: branch, Version: p.client.Clean(f.UpdatedOn),
		})
	}
	p.pulls.full = known
	return open, complete, nil
}

// resolve returns the full commit; empty if it does not exist.
func (p *Provider) resolve(ctx context.Context, short string) (string, error) {
	var commit struct {
		Hash string `json:"hash"`
	}
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.commit(short), Into: &commit})
	switch {
	case err != nil:
		return "", err
	case answer.Code == http.StatusNotFound:
		return "", nil
	case answer.Code >= 300:
		return "", p.client.Explain(answer.Code, answer.Header, messageOf(answer.Words))
	case !strings.HasPrefix(commit.Hash, short):
		return "", nil
	}
	return commit.Hash, nil
}
