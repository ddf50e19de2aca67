package gce

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/option"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/bounds"
)

// answerBytes bounds one answer: a page of 500 resources, of which the largest, URL maps
// and instance groups, have about 20 KB.
const answerBytes = 16 << 20

// newService returns the API's client. The guard, which bounds answers and removes the
// token from errors, is next to the network: there it sees what authentication adds.
func newService(ctx context.Context, o Options) (*compute.Service, error) {
	var opts []option.ClientOption
	if o.Endpoint != "" {
		opts = append(opts, option.WithEndpoint(endpointURL(o.Endpoint)), option.WithoutAuthentication())
	}
	next, err := network(o.HTTPClient)
	if err != nil {
		return nil, err
	}
	guard := &bounds.Outside{
		Next: next, Secrets: cmp.Or(o.Secrets, secret.New()),
		Most: func(*http.Request) int64 { return answerBytes },
	}
	client := &http.Client{Transport: guard, CheckRedirect: followNone}
	if o.HTTPClient == nil && o.Endpoint == "" {
		client, err = httptransport.NewClient(&httptransport.Options{
			BaseRoundTripper: guard,
			DetectOpts:       &credentials.DetectOptions{Scopes: []string{compute.ComputeScope}},
		})
		if err != nil {
			return nil, err
		}
		client.CheckRedirect = followNone
	}
	return compute.NewService(ctx, append(opts, option.WithHTTPClient(client))...)
}

// network returns the transport of a client, or one like the program's default.
func network(client *http.Client) (http.RoundTripper, error) {
	if client != nil && client.Transport != nil {
		return client.Transport, nil
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program's default HTTP transport was replaced by one of another type")
	}
	return bounds.Headers(standard), nil
}

// followNone makes the client return a redirect instead of following it. The API never
// redirects, and a server in its place must not send us elsewhere.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
