package objectdb

import "fmt"

// LimitError reports that a repository is larger than the operator allows.
// Opening a single file that is too large returns a RefusedError instead.
type LimitError struct {
	Repository string
	What       string // what is limited, with its unit: "MiB received in one fetch"
	Limit      int64  // in units of What
	Setting    string // the flag to raise, such as "--max-files"; empty if none helps
}

// Error names the limit and the setting that raises it.
func (e *LimitError) Error() string {
	s := fmt.Sprintf("read %s: more than %d %s", e.Repository, e.Limit, e.What)
	if e.Setting != "" {
		s += "; make it smaller, or raise " + e.Setting
	}
	return s
}
