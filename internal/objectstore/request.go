package objectstore

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Request is a request in terms of the API, as RBAC and admission see it.
type Request struct {
	HTTP *http.Request
	Body []byte

	// Verb is get, list, watch, create, update, patch, delete or deletecollection; for a
	// path that is not a resource, the method in lower case.
	Verb        string
	Resource    schema.GroupVersionResource // zero for a path that is not a resource
	Subresource string
	Namespace   string
	Name        string
	// Manager is the field manager, or else the client in the user agent.
	Manager string

	query url.Values
}

// Writes reports whether the request would change an object.
func (r *Request) Writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb)
}

func (r *Request) object() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

// parseRequest reads the body, and parses the path as the API server does.
func parseRequest(in *http.Request) (*Request, error) {
	r := &Request{HTTP: in, query: in.URL.Query(), Verb: strings.ToLower(in.Method)}
	if in.Body != nil {
		defer func() { _ = in.Body.Close() }()
		b, err := io.ReadAll(in.Body)
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		r.Body = bytes.TrimSpace(b)
	}
	agent, _, _ := strings.Cut(in.UserAgent(), "/")
	r.Manager = cmp.Or(r.query.Get("fieldManager"), agent, "unknown")
	r.parsePath(strings.Split(strings.Trim(in.URL.Path, "/"), "/"))
	return r, nil
}

func (r *Request) parsePath(parts []string) {
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		r.Resource.Version = parts[1]
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		r.Resource.Group, r.Resource.Version = parts[1], parts[2]
		parts = parts[3:]
	default:
		return
	}
	if parts[0] == "namespaces" && len(parts) >= 2 {
		// The path of a namespace is that of its content, except for these subresources.
		if len(parts) >= 3 && !slices.Contains([]string{"status", "finalize"}, parts[2]) {
			r.Namespace = parts[1]
			parts = parts[2:]
		}
	}
	r.Resource.Resource = parts[0]
	if len(parts) > 1 {
		r.Name = parts[1]
	}
	if len(parts) > 2 {
		r.Subresource = strings.Join(parts[2:], "/")
	}
	r.Verb = r.verb()
}

func (r *Request) verb() string {
	switch r.HTTP.Method {
	case http.MethodGet, http.MethodHead:
		if watch := r.query.Get("watch"); watch == "true" || watch == "1" {
			return "watch"
		}
		if r.Name == "" {
			return "list"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if r.Name == "" {
			return "deletecollection"
		}
		return "delete"
	}
	return strings.ToLower(r.HTTP.Method)
}

// patchType returns the type of a patch from its content type.
func (r *Request) patchType() types.PatchType {
	content, _, _ := strings.Cut(r.HTTP.Header.Get("Content-Type"), ";")
	return types.PatchType(content)
}

// strict reports whether unknown fields are errors.
func (r *Request) strict() bool {
	return r.query.Get("fieldValidation") == metav1.FieldValidationStrict
}
