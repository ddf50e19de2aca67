package build

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress prints the progress of a build for a user: one line per module, and on a
// terminal also the seconds elapsed.
type Progress struct {
	Out      io.Writer
	Terminal bool
}

// Say writes one finished line.
func (p *Progress) Say(name, what string) { p.print("%-22s %s\n", name, what) }

// print ignores write errors, which must not stop the build.
func (p *Progress) print(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format, args...) }

// Begin reports that name is being built. The function that it returns reports how
// long that took.
func (p *Progress) Begin(name string) func(error) {
	began := time.Now()
	elapsed := func() time.Duration { return time.Since(began).Round(time.Second) }
	done := make(chan struct{})
	var ticking sync.WaitGroup
	if p.Terminal {
		ticking.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				p.print("\r\x1b[K%-22s building, %s", name, elapsed())
				select {
				case <-tick.C:
				case <-done:
					p.print("\r\x1b[K")
					return
				}
			}
		})
	} else {
		p.Say(name, "building (can take minutes)")
	}
	return func(err error) {
		close(done)
		ticking.Wait()
		how := "built in"
		if err != nil {
			how = "failed after"
		}
		p.Say(name, fmt.Sprintf("%s %s", how, elapsed()))
	}
}
