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

// answerBytes bounds one answer: a page of 500 resources, the largest of which are URL
// maps and instance groups of some 20 KB at most.
const answerBytes = 16 << 20

// newService makes the API's client. Nearest to the network is what bounds its answers
// and takes the token out of what reports a failure: it sees what authentication adds.
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

// network is the transport of a client, or one like the program's default.
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

// followNone lets a redirect be what is answered. The API never redirects, and whoever
// does so in its place must not send us elsewhere.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
