package replicas

// KeepLast drains no cluster if nothing but drained clusters may run the workload:
// its replicas would have nowhere to go. Whether the others have room for them does
// not matter here: as long as they have not, shift keeps what is Ready, and a choice
// that followed the room would change it, and so itself.
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

// mayRun reports whether the preferences let the cluster run the workload.
func (w *Workload) mayRun(c *Cluster) bool {
	prefs, named := w.Preferences.of(c.Name)
	return named && prefs.Max > 0 && (prefs.Weight > 0 || prefs.Min > 0)
}
