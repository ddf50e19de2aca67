package source

import (
	"io"

	"github.com/fedsync/fedsync/internal/gitssh"
)

func (r *remote) openSSH(c *conversation) (session, error) {
	auth, err := r.credentials.ssh()
	if err != nil {
		return nil, err
	}
	s, err := gitssh.Open(c.ctx, gitssh.UploadPack, gitssh.Options{
		Host: r.at.host, Path: r.at.path, Auth: auth,
		Limit: func(in io.Reader) io.Reader {
			return &limitedReader{r: in, left: r.opts.Limits.RepositoryBytes, exceeded: &c.exceeded}
		},
	})
	if err != nil {
		return nil, err // a nil *Session in the interface would not be nil
	}
	return s, nil
}
