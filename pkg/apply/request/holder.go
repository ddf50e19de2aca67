package request

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// NameHolder adds the holder of the node port that an object could not get to the
// error. The API server does not name it, so this may take a list of all Services. If
// no Service has the port, the API server leaked it: it allocates a port before it
// writes the Service, and its repair loop frees the port if it ends in between.
func (c *Client) NameHolder(ctx context.Context, e *refusal.Error) {
	n, err := strconv.ParseInt(e.Port, 10, 32)
	if err != nil {
		return
	}
	port := int32(n)
	holder, found, err := c.findHolder(ctx, port)
	switch {
	case err != nil: // the holder is not named
	case found && holder != e.Object:
		e.Err = fmt.Errorf("nodePort %d is held by %s: %w", port, holder, e.Err)
	case !found && strings.Contains(e.Err.Error(), refusal.PortAllocated):
		e.Class = refusal.ClassPortLeaked
		e.Err = fmt.Errorf("nodePort %d is allocated although no Service has it: %w", port, e.Err)
		e.Remedy = "none: the API server's repair loop frees it within about ten minutes, and fedsync retries"
	}
}

// findHolder finds the Service that has a node port, in a list of all.
func (c *Client) findHolder(ctx context.Context, port int32) (holder federation.ObjectRef, found bool, err error) {
	err = c.Each(ctx, c.Dynamic.Resource(object.Services), metav1.ListOptions{}, func(u *unstructured.Unstructured) (more bool) {
		ports, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ports")
		items, _ := ports.([]any)
		found = slices.ContainsFunc(items, func(item any) bool {
			s, ok := object.PortOf(item)
			return ok && s.Number == port
		})
		check, _, _ := unstructured.NestedInt64(u.Object, "spec", "healthCheckNodePort")
		found = found || check == int64(port)
		if found {
			holder = federation.ObjectRef{Kind: object.ServiceKind.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
		}
		return !found
	})
	return holder, found, err
}
