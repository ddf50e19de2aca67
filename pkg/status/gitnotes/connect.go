package gitnotes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	sshauth "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/fedsync/fedsync/internal/gitssh"
)

// advertising is a session with one of git's programs at the remote. Its context is the
// one with which it was opened.
type advertising interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	io.Closer
}

type fetching interface {
	advertising
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
}

type pushing interface {
	advertising
	ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error)
}

func connectToFetch(ctx context.Context, web *http.Client, at *transport.Endpoint, auth transport.AuthMethod) (fetching, error) {
	if at.Protocol == "ssh" {
		return overSSH(ctx, gitssh.UploadPack, at, auth)
	}
	return githttp.NewClient(web).NewUploadPackSession(copyOf(at), auth)
}

func connectToPush(ctx context.Context, web *http.Client, at *transport.Endpoint, auth transport.AuthMethod) (pushing, error) {
	if at.Protocol == "ssh" {
		return overSSH(ctx, gitssh.ReceivePack, at, auth)
	}
	return githttp.NewClient(web).NewReceivePackSession(copyOf(at), auth)
}

// copyOf limits a redirect to the session that meets it: go-git writes the new location
// into the endpoint, and the next session would send the credentials there.
func copyOf(at *transport.Endpoint) *transport.Endpoint {
	c := *at
	return &c
}

// sshPort is the port of a server if the address names none.
const sshPort = 22

func overSSH(ctx context.Context, program string, at *transport.Endpoint, auth transport.AuthMethod) (*gitssh.Session, error) {
	key, ok := auth.(sshauth.AuthMethod)
	if !ok {
		return nil, transport.ErrInvalidAuthMethod
	}
	port := at.Port
	if port == 0 {
		port = sshPort
	}
	path := at.Path
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // the server resolves the home
	}
	return gitssh.Open(ctx, program, gitssh.Options{
		Host: net.JoinHostPort(strings.Trim(at.Host, "[]"), strconv.Itoa(port)), Path: path, Auth: key,
		Limit: func(in io.Reader) io.Reader { return &io.LimitedReader{R: in, N: maxAnswer} },
	})
}

// fetchInto fetches one commit with its tree, without the history.
func fetchInto(ctx context.Context, store storer.Storer, from fetching, can *capability.List, commit plumbing.Hash) error {
	req := packp.NewUploadPackRequestFromCapabilities(can)
	req.Wants = []plumbing.Hash{commit}
	if can.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(1)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	}
	if can.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	answer, err := from.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	var pack io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	if err := packfile.UpdateObjectStorage(store, pack); err != nil {
		return fmt.Errorf("read the pack: %w", err)
	}
	return nil
}
