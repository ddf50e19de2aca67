package objectstore

import (
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Backup is the content of a cluster at one time.
type Backup struct {
	objects map[schema.GroupResource]map[types.NamespacedName]*entry
	served  map[schema.GroupResource]*definition
	version uint64
}

// Backup returns the current content of the cluster.
func (s *Store) Backup() Backup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Backup{objects: copyObjects(s.objects), served: maps.Clone(s.served), version: s.version}
}

// Restore resets the cluster to the backup, as a restored etcd does: resourceVersions go
// back, the watches end, and new objects get resourceVersions that were used before, but
// new uids.
func (s *Store) Restore(b Backup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects, s.served = copyObjects(b.objects), maps.Clone(b.served)
	s.version, s.oldest, s.history = b.version, b.version, nil
	s.control.clear()
	for gr, objects := range s.objects {
		for _, e := range objects {
			s.controlChange(change{resource: gr, version: e.version, after: e})
		}
	}
	s.endWatches(errReset)
}

// Rebuild replaces the cluster by another one with the same address: it is empty, and its
// kube-system has another uid.
func (s *Store) Rebuild() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty()
	s.endWatches(errReset)
}

func copyObjects(in map[schema.GroupResource]map[types.NamespacedName]*entry) map[schema.GroupResource]map[types.NamespacedName]*entry {
	out := make(map[schema.GroupResource]map[types.NamespacedName]*entry, len(in))
	for gr, objects := range in {
		out[gr] = maps.Clone(objects)
	}
	return out
}
