package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// lastTold is the commit whose status was the newest when this process's
// forerunner ended, and under which contexts. It is all that a restart would
// otherwise not know: a commit that was pending then and has been overtaken since
// must not stay pending. It is kept in the cache folder, and losing it costs no
// more than that.
type lastTold struct {
	SHA      string   `json:"sha"`
	Contexts []string `json:"contexts"`
}

func (t lastTold) equal(o lastTold) bool {
	return t.SHA == o.SHA && slices.Equal(t.Contexts, o.Contexts)
}

// lastToldFile keeps it for one instance of one source.
func lastToldFile(dir, source, instance string) string {
	return filepath.Join(dir, "told-"+shortDigest(source, instance, "")+".json")
}

func readLastTold(file string) lastTold {
	var t lastTold
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &t) != nil {
		return lastTold{} // the first start, or a cache that was cleaned
	}
	return t
}

func (t lastTold) write(file string) error { return writeJSON(file, t) }

// writeJSON replaces a file as a whole: a crash leaves the one before.
func writeJSON(file string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
