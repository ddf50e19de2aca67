package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A flight is a build that runs, or ran. It has its time, and then nobody waits
// for it; but it cannot be stopped.
type flight struct {
	*built // may be read once done is closed

	key  string        // none where the result is of no use to anybody else
	done chan struct{} // closed when the build has ended
	over chan struct{} // closed when it has had its time; why is in late
	late error

	holders atomic.Int32 // goroutines that work for it; its place is free when there are none
	ended   bool         // protected by Renderer.mu
}

func landed(b *built) *flight {
	f := &flight{built: b, done: make(chan struct{})}
	close(f.done)
	return f
}

// fly runs work as a flight, once there are a worker and a place for it. Where
// there are none to be had, the flight has ended and says why.
func (p *pass) fly(key, dir string, work func(*build) error) *flight {
	if err := p.acquire(dir); err != nil {
		return landed(&built{dir: dir, err: err})
	}
	f := &flight{
		built: &built{dir: dir}, key: key,
		done: make(chan struct{}), over: make(chan struct{}), late: p.tooLong(dir),
	}
	f.holders.Add(1)
	timer := time.AfterFunc(p.limits.Time, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !f.ended {
			p.overdue[key] = dir
			close(f.over)
			<-p.slots // the rendering goes on without it
		}
	})
	go func() {
		f.err = work(&build{pass: p, flight: f})
		timer.Stop()
		p.land(f)
		p.release(f)
	}()
	return f
}

// land notes that a flight's build has ended. What it built is right, however long
// it took and whether or not anybody waits for it.
func (p *pass) land(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.ended = true
	delete(p.overdue, f.key)
	if f.err == nil && f.key != "" {
		// A failure may pass: it is not remembered.
		f.used = p.cache.generation
		p.cache.builds[f.key] = f.built
	}
	close(f.done)
	select {
	case <-f.over:
	default:
		<-p.slots
	}
}

// release gives a place back when the last goroutine that works for the flight has
// ended.
func (p *pass) release(f *flight) {
	if f.holders.Add(-1) == 0 {
		<-p.places
	}
}

// wait returns when a flight's build has ended, or the reason why it is not waited
// for any longer.
func (p *pass) wait(f *flight) error {
	select {
	case <-f.done:
		return nil
	default:
	}
	select {
	case <-f.done:
		return nil
	case <-f.over:
		return f.late
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// acquire takes a worker and a place. A worker is free again when its build has
// had its time, at the latest; a place is not, and is waited for as long as a build
// may take, once in a rendering.
func (p *pass) acquire(dir string) error {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(p.limits.Time)
	defer timer.Stop()
	var err error
	select {
	case p.places <- struct{}{}:
		return nil
	case <-p.full:
		err = p.noPlace(dir)
	case <-timer.C:
		p.fullOnce.Do(func() { close(p.full) })
		err = p.noPlace(dir)
	case <-p.ctx.Done():
		err = p.ctx.Err()
	}
	<-p.slots
	return err
}

// tooLong is the error of a build that has had its time.
func (p *pass) tooLong(dir string) error {
	return &Error{
		File: p.blamed(dir), Reason: "the build takes longer than " + minutes(p.limits.Time),
		Remedy: "make it smaller: fewer objects in one kustomization, or plain manifests; until then what runs is kept as it is",
	}
}

// noPlace is the error of a build that was not begun.
func (p *pass) noPlace(dir string) error {
	p.mu.Lock()
	running := slices.Compact(slices.Sorted(maps.Values(p.overdue)))
	p.mu.Unlock()
	reason := fmt.Sprintf("not built: %d earlier builds have had their time and still run", cap(p.places))
	if len(running) > 0 {
		reason += ": " + strings.Join(running, ", ")
	}
	return &Error{File: p.blamed(dir), Reason: reason, Remedy: "make those smaller, and restart fedsync or push again when they have ended"}
}

// blamed is the file that stands for a folder.
func (p *pass) blamed(dir string) string {
	if files := p.files.kustomizations(dir); len(files) > 0 {
		return files[0]
	}
	return dir
}

// minutes writes a duration without zero seconds.
func minutes(d time.Duration) string {
	if s, whole := strings.CutSuffix(d.String(), "m0s"); whole {
		return s + "m"
	}
	return d.String()
}
