package request

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// successors are the groups to which kinds have moved, by the group that they left
// (https://kubernetes.io/docs/reference/using-api/deprecation-guide).
var successors = map[string][]string{"extensions": {"networking.k8s.io", "apps", "policy"}}

// Served returns the apiVersion in which the cluster serves a kind, if it does not
// serve the version that Git names. It is empty if the cluster does not serve the kind.
func (c *Client) Served(ctx context.Context, gk schema.GroupKind) string {
	for _, group := range append([]string{gk.Group}, successors[gk.Group]...) {
		if m, err := c.Mapping(ctx, schema.GroupKind{Group: group, Kind: gk.Kind}, ""); err == nil {
			return untrusted.Line(m.GroupVersionKind.GroupVersion().String())
		}
	}
	return ""
}

// Mapping returns how a kind is served. An empty version stands for the preferred one.
func (c *Client) Mapping(ctx context.Context, gk schema.GroupKind, version string) (*meta.RESTMapping, error) {
	var versions []string
	if version != "" {
		versions = []string{version}
	}
	if m, ok := c.Mapper.(contextMapper); ok {
		return m.RESTMappingWithContext(ctx, gk, versions...)
	}
	return c.Mapper.RESTMapping(gk, versions...)
}

// contextMapper is a mapper whose requests end with a context.
type contextMapper interface {
	RESTMappingWithContext(ctx context.Context, gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error)
}
