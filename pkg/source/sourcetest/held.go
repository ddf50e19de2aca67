package sourcetest

import "runtime"

// HeldWhile returns the most by which the heap grows while f runs, in bytes.
func HeldWhile(f func()) int64 {
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() { f(); close(done) }()
	var peak uint64
	for {
		select {
		case <-done:
			return int64(peak) - int64(before.HeapAlloc)
		default:
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			runtime.Gosched()
		}
	}
}
