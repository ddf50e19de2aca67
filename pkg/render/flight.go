package render

// A flight is a running or completed build.
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

// fly runs work as a flight as soon as a worker is free. The result is cached by
// its key; without a key it is not shared.
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
			// A failure may be temporary, so it is not cached.
			p.mu.Lock()
			f.used = p.generation
			p.cache.builds[key] = f.built
			p.mu.Unlock()
		}
		close(f.done)
	})
	return f
}

// wait waits for the end of a flight's build. It returns early, with the reason,
// if the rendering is stopped.
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
