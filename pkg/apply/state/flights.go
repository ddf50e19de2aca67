package state

// EachFlight calls visit for each request under way.
func (t *State) EachFlight(visit func(*Flight)) {
	for _, r := range t.Rows {
		if r.Flight != nil {
			visit(r.Flight)
		}
	}
	for _, a := range t.Apps {
		if a.Flight != nil {
			visit(a.Flight)
		}
	}
	for _, s := range t.Spaces {
		if s.Flight != nil {
			visit(s.Flight)
		}
	}
	if t.Asking != nil {
		visit(t.Asking)
	}
	for _, k := range t.Kinds {
		if k.Flight != nil {
			visit(k.Flight)
			return // one request asks for all kinds
		}
	}
}
