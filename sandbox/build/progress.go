package build

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells a person how a build goes: one line per module, and while it
// lasts on a terminal the seconds.
type Progress struct {
	Out      io.Writer
	Terminal bool
}

// Say writes one finished line.
func (p *Progress) Say(name, what string) { p.print("%-22s %s\n", name, what) }

// print writes to a person. That it fails is no reason not to build.
func (p *Progress) print(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format, args...) }

// Begin says that name is being built; the function it returns says how long
// that took.
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
		p.Say(name, "building, which can take minutes")
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
