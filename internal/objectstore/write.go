package objectstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// writing describes the change of one object.
type writing struct {
	kind        *kind
	name        types.NamespacedName
	subresource string
	manager     string
	request     *Request // for admission; nil for a write of the control plane
	create      bool     // a missing object is created
	exclusive   bool     // only a missing object is created
	trusted     bool     // admission and namespace are not checked
}

// errModified is the API server's error for an outdated resourceVersion.
var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// write changes one object, in the order of the API server: patch, admission of the
// namespace, defaults of the kind, validation, admission.
func (s *Store) write(w writing, patched func(live runtime.Object) (runtime.Object, error)) (*entry, error) {
	gr := w.kind.groupResource()
	live := s.find(gr, w.name)
	if live == nil && !w.create {
		return nil, apierrors.NewNotFound(gr, w.name.Name)
	}
	from := w.kind.empty()
	if live != nil && !w.exclusive {
		from = inVersion(live.object, w.kind.gvk)
	}
	object, err := patched(from)
	if err != nil {
		return nil, err
	}
	object = inVersion(object, w.kind.storage.WithKind(w.kind.gvk.Kind))
	m, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	if err := w.checkName(m); err != nil {
		return nil, err
	}
	if live == nil || w.exclusive {
		return s.insert(w, live, object, m)
	}
	return s.replace(w, live, object, m)
}

// checkName checks that the object is the one in the path, and fills in missing names.
func (w *writing) checkName(m metav1.Object) error {
	switch {
	case m.GetName() == "":
		m.SetName(w.name.Name)
	case w.name.Name != "" && m.GetName() != w.name.Name:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", m.GetName(), w.name.Name))
	}
	switch {
	case m.GetNamespace() == "":
		m.SetNamespace(w.name.Namespace)
	case m.GetNamespace() != w.name.Namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

func (s *Store) insert(w writing, live *entry, object runtime.Object, m metav1.Object) (*entry, error) {
	gr := w.kind.groupResource()
	if m.GetUID() != "" && !w.exclusive {
		return nil, apierrors.NewConflict(gr, w.name.Name, fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", m.GetUID()))
	}
	if w.exclusive && m.GetResourceVersion() != "" {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	if !w.trusted {
		if err := s.admitNamespace(w); err != nil {
			return nil, err
		}
	}
	m.SetUID(s.newUID())
	m.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	m.SetDeletionTimestamp(nil)
	m.SetDeletionGracePeriodSeconds(nil)
	m.SetSelfLink("")
	m.SetResourceVersion("")
	if m.GetName() == "" && m.GetGenerateName() != "" {
		m.SetName(m.GetGenerateName() + fmt.Sprintf("%05x", s.random.Uint32()&0xfffff))
	}
	w.name = nameOf(m)
	if err := s.prepareCreate(w.kind, object, m); err != nil {
		return nil, err
	}
	if err := s.validate(w.kind, object, nil); err != nil {
		return nil, err
	}
	if err := s.admit(w, OperationCreate, m, nil); err != nil {
		return nil, err
	}
	if live != nil {
		err := apierrors.NewAlreadyExists(gr, w.name.Name)
		if live.meta.GetDeletionTimestamp() != nil {
			err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
		}
		return nil, err
	}
	return s.store(w.kind, w.name, object)
}

func (s *Store) replace(w writing, live *entry, object runtime.Object, m metav1.Object) (*entry, error) {
	gr := w.kind.groupResource()
	if v := m.GetResourceVersion(); v != "" && v != "0" && v != strconv.FormatUint(live.version, 10) {
		return nil, apierrors.NewConflict(gr, w.name.Name, errModified)
	} else if (v == "" || v == "0") && !w.kind.typed {
		err := apierrors.NewInvalid(schema.GroupKind{Group: gr.Group, Kind: gr.Resource}, w.name.Name, mustHaveVersion)
		return nil, err
	}
	m.SetResourceVersion(live.meta.GetResourceVersion())
	m.SetGeneration(live.meta.GetGeneration())
	if err := s.prepareUpdate(w, object, m, live); err != nil {
		return nil, err
	}
	if m.GetUID() == "" {
		m.SetUID(live.meta.GetUID())
	}
	m.SetCreationTimestamp(live.meta.GetCreationTimestamp())
	if t := live.meta.GetDeletionTimestamp(); t != nil {
		m.SetDeletionTimestamp(t)
		m.SetDeletionGracePeriodSeconds(live.meta.GetDeletionGracePeriodSeconds())
	}
	if err := s.validate(w.kind, object, live.object); err != nil {
		return nil, err
	}
	changed, err := differs(object, m, live)
	if err != nil {
		return nil, err
	}
	if err := s.admit(w, OperationUpdate, m, live.meta); err != nil {
		return nil, err
	}
	if finalized(m) && s.mayGo(object) {
		_, err := s.store(w.kind, w.name, nil)
		if err != nil {
			return nil, err
		}
		return newEntry(w.kind, object, s.version)
	}
	if !changed {
		return live, nil
	}
	return s.store(w.kind, w.name, object)
}

// differs reports whether an object differs from the stored one. Times of managed fields
// alone are no difference, and do not change.
func differs(object runtime.Object, m metav1.Object, live *entry) (bool, error) {
	now, before := m.GetManagedFields(), live.meta.GetManagedFields()
	if len(now) == len(before) {
		same := true
		old := make([]metav1.ManagedFieldsEntry, len(now))
		for i := range now {
			old[i] = *before[i].DeepCopy()
			entry := now[i]
			entry.Time = old[i].Time
			same = same && sameFields(entry, old[i])
		}
		if same {
			m.SetManagedFields(old)
		}
		b, err := json.Marshal(object)
		if err != nil {
			return false, err
		}
		if same && bytes.Equal(bytes.TrimSpace(b), bytes.TrimSpace(live.json)) {
			return false, nil
		}
		if same {
			m.SetManagedFields(now)
		}
	}
	return true, nil
}

func sameFields(a, b metav1.ManagedFieldsEntry) bool {
	if a.Manager != b.Manager || a.Operation != b.Operation || a.APIVersion != b.APIVersion || a.Subresource != b.Subresource {
		return false
	}
	if a.FieldsV1 == nil || b.FieldsV1 == nil {
		return a.FieldsV1 == b.FieldsV1
	}
	return a.FieldsV1.GetRawString() == b.FieldsV1.GetRawString()
}

// admitNamespace refuses a creation in a namespace that is missing or being deleted.
func (s *Store) admitNamespace(w writing) error {
	if !w.kind.namespaced {
		return nil
	}
	e := s.find(schema.GroupResource{Resource: "namespaces"}, types.NamespacedName{Name: w.name.Namespace})
	if e == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, w.name.Namespace)
	}
	if n, ok := e.object.(*corev1.Namespace); !ok || n.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	err := apierrors.NewForbidden(w.kind.groupResource(), w.name.Name,
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", w.name.Namespace))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", w.name.Namespace), Field: "metadata.namespace",
	})
	return err
}
