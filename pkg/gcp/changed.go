package gcp

import "time"

// Changed returns the names of the fields in which an observed resource of ours
// differs from the wanted one.
func Changed(w, o Resource) []string {
	fields := w.Spec.differs(o.Spec)
	switch w.ID.Kind {
	case KindFirewall, KindHealthCheck, KindService, KindURLMap:
		if !sameMark(w.Mark, o.Mark) {
			fields = SortedSet(append(fields, FieldDescription))
		}
	case KindCertificate:
		if w.Mark.Content != o.Mark.Content {
			fields = SortedSet(append(fields, "certificate"))
		}
	case KindAddress, KindGroup, KindHTTPProxy, KindHTTPSProxy, KindRule:
		// Their descriptions cannot be changed, and name only the owner.
	}
	return fields
}

// sameMark reports whether two marks are equal. It compares times by their instant: a
// description holds neither the time zone nor the monotonic clock.
func sameMark(a, b Mark) bool {
	if len(a.Draining) != len(b.Draining) || !a.Rated.Equal(b.Rated) {
		return false
	}
	for cluster, since := range a.Draining {
		if other, ok := b.Draining[cluster]; !ok || !other.Equal(since) {
			return false
		}
	}
	a.Draining, b.Draining, a.Rated, b.Rated = nil, nil, time.Time{}, time.Time{}
	return a.Text() == b.Text()
}

// FixedFields returns those of the differing fields that cannot be changed in place.
func FixedFields(w, o Resource, fields []string) []string {
	var fixed []string
	for _, field := range fields {
		switch w.ID.Kind {
		case KindGroup, KindCertificate:
			fixed = append(fixed, field)
		case KindFirewall:
			if field == "network" {
				fixed = append(fixed, field)
			}
		case KindRule:
			want, _ := w.Spec.(Rule)
			now, _ := o.Spec.(Rule)
			// A target can be replaced by one of the same type.
			if field != "target" || want.Target.Kind != now.Target.Kind {
				fixed = append(fixed, field)
			}
		case KindAddress, KindHealthCheck, KindService, KindURLMap, KindHTTPProxy, KindHTTPSProxy:
		}
	}
	return fixed
}
