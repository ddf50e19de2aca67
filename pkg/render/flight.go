package render

// A flight is a build that runs, or ran.
type flight struct {
	*built // may be read once done is closed

	key  string
	done chan struct{} // closed when the build has ended
}

func landed(key string, b *built) *flight {
	f := &flight{built: b, key: key, done: make(chan struct{})}
	close(f.done)
	return f
}

// fly runs work as a flight, once there is a worker for it. What it gives is kept
// in the cache by its key; without a key it is of no use to anybody else.
func (p *pass) fly(key, dir string, work func(*built) error) *flight {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return landed(key, &built{dir: dir, err: p.ctx.Err()})
	}
	f := &flight{built: &built{dir: dir}, key: key, done: make(chan struct{})}
	p.running.Go(func() {
		defer func() { <-p.slots }()
		f.err = work(f.built)
		if f.err == nil && key != "" {
			// A failure may pass: it is not remembered.
			p.mu.Lock()
			f.used = p.generation
			p.cache.builds[key] = f.built
			p.mu.Unlock()
		}
		close(f.done)
	})
	return f
}

// wait returns when a flight's build has ended, or the reason why it is not waited
// for.
func (p *pass) wait(f *flight) error {
	select {
	case <-f.done:
		return nil
	default:
	}
	select {
	case <-f.done:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}
