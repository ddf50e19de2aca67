package state

import (
	"github.com/fedsync/fedsync/pkg/apply/object"
)

// PortHolders returns our Services by the node ports that they hold.
func (t *State) PortHolders() map[object.Port][]*Row {
	out := map[object.Port][]*Row{}
	for _, r := range t.Sorted() {
		if r.Live == nil || r.Ref.GroupKind() != object.ServiceKind {
			continue
		}
		for _, port := range r.Live.Ports {
			out[port] = append(out[port], r)
		}
	}
	return out
}
