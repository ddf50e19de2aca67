package github

import (
	"context"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// tokenProof authenticates with a token that an operator created.
type tokenProof struct {
	client *forgeclient.Client
	api    string
}

func (p *tokenProof) sdk(ctx context.Context) (*sdk.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	token, err := p.client.Token()
	if err != nil {
		return nil, err
	}
	return connect(p.client.HTTP, p.api, token)
}

func (p *tokenProof) refused() {} // the next request reads the token again

// account requests the token's account each time, because the next token may belong to
// another.
func (p *tokenProof) account(ctx context.Context, api *sdk.Client) (author, error) {
	user, resp, err := api.Users.Get(ctx, "")
	if err != nil {
		return author{}, explain(ctx, p.client, resp, err)
	}
	return author{user: user.GetID()}, nil
}

// author is the author that GitHub names for what we write.
type author struct {
	user int64  // the account's number; zero for an App
	bot  string // the name of an App's account
}

// wrote reports whether a comment is ours.
func (a author) wrote(c *sdk.IssueComment) bool {
	if a.bot != "" {
		return c.GetUser().GetType() == "Bot" && c.GetUser().GetLogin() == a.bot
	}
	return a.user != 0 && c.GetUser().GetID() == a.user
}
