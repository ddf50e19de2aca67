package replicas

// KeepLast drains no cluster if only drained clusters may run the workload: its replicas
// could not be placed. It ignores whether the other clusters have room: while they do
// not, shift retains the Ready replicas. A choice by room would itself change the room,
// and would flap.
func (w *Workload) KeepLast() {
	for i := range w.Clusters {
		c := &w.Clusters[i]
		if (c.Standing == Up || c.Standing == Unknown) && !c.Drained && w.mayRun(c) {
			return
		}
	}
	for i := range w.Clusters {
		c := &w.Clusters[i]
		if c.Drained && w.mayRun(c) {
			c.Drained = false
			w.Refused = append(w.Refused, c.Name)
		}
	}
}

// mayRun reports whether the preferences allow the cluster to run the workload.
func (w *Workload) mayRun(c *Cluster) bool {
	prefs, named := w.Preferences.of(c.Name)
	return named && prefs.Max > 0 && (prefs.Weight > 0 || prefs.Min > 0)
}
