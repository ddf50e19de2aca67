package objectstore

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/internal/sleep"
)

func (s *Store) get(r *Request, k *kind) (int, []byte, error) {
	e := s.find(k.groupResource(), r.object())
	if e == nil {
		return 0, nil, apierrors.NewNotFound(k.groupResource(), r.Name)
	}
	switch {
	case r.Subresource == "", r.Subresource == "status" && k.status:
		return http.StatusOK, e.at(k), nil
	case r.Subresource == "scale" && k.scale:
		scale, err := scaleOf(e.object)
		if err != nil {
			return 0, nil, err
		}
		body, err := json.Marshal(scale)
		return http.StatusOK, body, err
	}
	return 0, nil, errNoSuchPath
}

func (s *Store) list(r *Request, k *kind) (int, []byte, error) {
	selects, err := r.selection(k)
	if err != nil {
		return 0, nil, err
	}
	var items [][]byte
	var next, last string
	limit, _ := strconv.Atoi(r.query.Get("limit"))
	if r.query.Get("resourceVersion") == "0" {
		limit = 0 // the watch cache does not support pages
	}
	after, _ := base64.RawURLEncoding.DecodeString(r.query.Get("continue"))
	for _, e := range s.all(k.groupResource()) {
		key := e.meta.GetNamespace() + "/" + e.meta.GetName()
		if len(after) > 0 && strings.Compare(key, string(after)) <= 0 || !selects(e) {
			continue
		}
		if limit > 0 && len(items) == limit { // there is one more
			next = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		items = append(items, item(e, k))
		last = key
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d"`, k.gvk.Kind, k.gvk.GroupVersion().String(), s.version)
	if next != "" || !k.typed {
		fmt.Fprintf(&b, `,"continue":%q`, next)
	}
	b.WriteString(`},"items":[`)
	b.Write(bytes.Join(items, []byte(",")))
	b.WriteString("]}\n")
	return http.StatusOK, b.Bytes(), nil
}

// item returns an object as in a list. The items of a list of built-in objects have no
// kind.
func item(e *entry, k *kind) []byte {
	b := e.at(k)
	if !k.typed {
		return b
	}
	return append([]byte("{"), bytes.TrimPrefix(b, fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q,`, k.gvk.Kind, k.gvk.GroupVersion().String()))...)
}

// fieldsOf returns the fields that selectors may name.
func fieldsOf(e *entry) fields.Set {
	set := fields.Set{"metadata.name": e.meta.GetName()}
	if e.kind.namespaced {
		set["metadata.namespace"] = e.meta.GetNamespace()
	}
	switch o := e.object.(type) {
	case *corev1.Pod:
		set["spec.nodeName"] = o.Spec.NodeName
		set["status.phase"] = string(o.Status.Phase)
		set["spec.restartPolicy"] = string(o.Spec.RestartPolicy)
		set["spec.schedulerName"] = o.Spec.SchedulerName
		set["spec.serviceAccountName"] = o.Spec.ServiceAccountName
	case *corev1.Namespace:
		set["status.phase"] = string(o.Status.Phase)
	case *corev1.Secret:
		set["type"] = string(o.Type)
	case *corev1.Service:
		set["spec.clusterIP"] = o.Spec.ClusterIP
		set["spec.type"] = string(o.Spec.Type)
	case *corev1.Node:
		set["spec.unschedulable"] = strconv.FormatBool(o.Spec.Unschedulable)
	}
	return set
}

// selection returns a function that reports whether the selectors of a request select an
// object.
func (r *Request) selection(k *kind) (func(*entry) bool, error) {
	label, err := labels.Parse(r.query.Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("unable to parse requirement: %v", err))
	}
	field, err := fields.ParseSelector(r.query.Get("fieldSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	known := fieldsOf(&entry{kind: k, object: k.empty(), meta: &metav1.ObjectMeta{}})
	for _, q := range field.Requirements() {
		if _, ok := known[q.Field]; !ok {
			return nil, apierrors.NewBadRequest(unknownField(k, known, q.Field))
		}
	}
	namespace, name := r.Namespace, r.Name
	return func(e *entry) bool {
		return (namespace == "" || e.meta.GetNamespace() == namespace) && (name == "" || e.meta.GetName() == name) &&
			label.Matches(labels.Set(e.meta.GetLabels())) && (field.Empty() || field.Matches(fieldsOf(e)))
	}, nil
}

// unknownField returns the error for a field that selectors may not name. Kinds with
// fields of their own have another message.
func unknownField(k *kind, known fields.Set, name string) string {
	switch {
	case len(known) > 2 || !k.namespaced && len(known) > 1:
		return fmt.Sprintf("field label not supported: %s", name)
	case k.namespaced:
		return fmt.Sprintf("%q is not a known field selector: only %q, %q", name, "metadata.name", "metadata.namespace")
	}
	return fmt.Sprintf("%q is not a known field selector: only %q", name, "metadata.name")
}

// freshWait is how long the API server waits for a version that it has not seen.
const freshWait = 3 * time.Second

// waitFresh waits until the store has at least the version that a list requires, and
// returns the API server's error if it does not.
func (s *Store) waitFresh(r *Request) error {
	asked, err := r.version()
	if err != nil {
		return err
	}
	if r.query.Get("continue") != "" {
		return nil
	}
	if s.newest() >= asked {
		return nil
	}
	if err := sleep.For(r.HTTP.Context(), freshWait); err != nil {
		return err
	}
	if now := s.newest(); now < asked {
		return tooLarge(asked, now)
	}
	return nil
}

func (s *Store) newest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// version returns the resourceVersion of the request, zero for any.
func (r *Request) version() (uint64, error) {
	v, err := strconv.ParseUint(cmp.Or(r.query.Get("resourceVersion"), "0"), 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("Invalid value: %q: %v", r.query.Get("resourceVersion"), err))
	}
	return v, nil
}

func tooLarge(asked, now uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, now), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// finalized reports whether an object is being deleted and nothing holds it.
func finalized(m metav1.Object) bool {
	return m.GetDeletionTimestamp() != nil && len(m.GetFinalizers()) == 0
}

// without returns the finalizers without one.
func without(finalizers []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == name })
}
