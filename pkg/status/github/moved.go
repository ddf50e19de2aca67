package github

import "context"

// moved returns the error for a repository that GitHub redirects.
func (r *repository) moved(ctx context.Context) error {
	api, err := r.proof.sdk(ctx)
	if err != nil {
		return err
	}
	return r.client.FindMoved(ctx, api.Client(), r.api+"repos/"+r.full())
}
