package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// processName is the program's name (argument 0) in a worker's process.
const processName = "fedsync-worker"

// Serve must be called first by the main function of a program with a Worker. It
// returns immediately, except in a process that a Worker has started: there it
// renders until its pipe is closed, and exits.
func Serve() {
	if len(os.Args) != 3 || os.Args[0] != processName {
		return
	}
	memory, err := strconv.ParseInt(os.Args[1], 10, 64)
	niceness, niceErr := strconv.Atoi(os.Args[2])
	if err != nil || niceErr != nil {
		os.Exit(2)
	}
	os.Exit(serve(memory, niceness))
}

func serve(memory int64, niceness int) int {
	runtime.GOMAXPROCS(1) // the other processors are for applying
	collect()
	// The kernel's limit ends the process, so garbage is collected before
	// memory reaches it.
	debug.SetMemoryLimit(memory - memory/8)
	debug.SetMaxStack(maxStack)
	http.DefaultTransport = refusing{}
	p := newPeer(polled(os.Stdin), os.Stdout)
	if err := p.send(fromProcess{Hello: confine(memory, niceness)}); err != nil {
		return 1
	}
	p.listen()
	return 0 // the parent has ended
}

// polled returns a pipe whose reads do not block a thread: a thread blocked in a read
// occupies the only processor until the runtime notices.
func polled(pipe *os.File) io.Reader {
	if err := syscall.SetNonblock(int(pipe.Fd()), true); err != nil {
		return pipe
	}
	return os.NewFile(pipe.Fd(), pipe.Name())
}

// collect collects the garbage. It sets the next collection so late that a usual push is
// rendered without one.
func collect() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(max(100, 100*garbage/m.HeapAlloc)))
}

// garbage is how many bytes of garbage may accumulate.
const garbage = 64 << 20

// maxStack limits a goroutine's stack, in bytes: no manifest nests that deeply. It
// is a quarter of Go's own limit, so that it is reached before the memory limit.
const maxStack = 64 << 20

// refusing is an HTTP transport that refuses every request. The filter of system
// calls would stop it anyway; this also gives a reason.
type refusing struct{}

// RoundTrip refuses.
func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nothing is fetched for a build")
}

// A peer is the process's side of the protocol.
type peer struct {
	in      *bufio.Reader
	answers chan reply
	asking  sync.Mutex // held from a question to its answer

	renderer *render.Renderer
	shelf    *shelf
	told     *told
	started  time.Time

	outMu sync.Mutex // protects out
	out   *bufio.Writer

	mu      sync.Mutex // protects what follows
	stop    context.CancelFunc
	refused map[string]refusal
	late    []string
	left    time.Duration // processor time left for the rendering
	until   time.Duration // the processor time at which left is used up
}

type reply struct {
	answer  answer
	content []byte
}

func newPeer(in io.Reader, out io.Writer) *peer {
	p := &peer{
		in: bufio.NewReaderSize(in, 1<<16), out: bufio.NewWriterSize(out, 1<<16), answers: make(chan reply),
		shelf: &shelf{folders: map[string]*folder{}}, told: newTold(), started: time.Now(),
	}
	p.renderer = render.New(render.Options{Workers: 1, Begin: p.begin})
	return p
}

// listen handles the parent's messages until the pipe is closed.
func (p *peer) listen() {
	for {
		var m toProcess
		if err := readFrame(p.in, &m, maxHeader); err != nil {
			return
		}
		switch {
		case m.Render != nil:
			ctx, stop := context.WithCancel(context.Background())
			p.mu.Lock()
			p.stop = stop
			p.refused = make(map[string]refusal, len(m.Render.Refused))
			for _, r := range m.Render.Refused {
				p.refused[r.Key] = r
			}
			p.late, p.left = m.Render.Late, m.Render.Left
			p.until = p.processor() + p.left
			p.mu.Unlock()
			go func() {
				defer stop()
				if p.render(ctx, m.Render) != nil {
					os.Exit(1) // the parent has ended
				}
				collect() // while no request is pending
			}()
		case m.Answer != nil:
			content, err := readBytes(p.in, m.Answer.Size)
			if err != nil {
				return
			}
			p.answers <- reply{*m.Answer, content}
		case m.Stop:
			p.mu.Lock()
			if p.stop != nil {
				p.stop()
			}
			p.mu.Unlock()
		}
	}
}

// send sends a frame and flushes.
func (p *peer) send(m fromProcess) error {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	if err := writeFrame(p.out, m); err != nil {
		return err
	}
	return p.out.Flush()
}

// add writes a frame, which is sent with the next one that send sends.
func (p *peer) add(m fromProcess, behind ...[]byte) error {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	return writeFrame(p.out, m, behind...)
}

// ask sends a question to the parent and returns the answer.
func (p *peer) ask(q question) (answer, []byte, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if err := p.send(fromProcess{Ask: &q}); err != nil {
		return answer{}, nil, err
	}
	r := <-p.answers
	return r.answer, r.content, nil
}

// begin reports to the parent that work begins. It returns an error if the work
// must not begin.
func (p *peer) begin(dir, key string) (func(), error) {
	p.mu.Lock()
	r, refused := p.refused[key]
	left, until := p.left, p.until
	late := slices.ContainsFunc(p.late, func(app string) bool { return within(dir, app) })
	p.mu.Unlock()
	switch {
	case refused:
		return nil, &render.Error{Reason: r.Reason, Remedy: r.Remedy}
	case late:
		return nil, &render.Error{Exceeds: true, Reason: putOff}
	case left > 0 && p.processor() > until:
		return nil, &render.Error{Exceeds: true, Reason: fmt.Sprintf("the revision has used up its %s of processor time before this", left.Round(time.Second/10)), Remedy: remedyForAll}
	}
	if err := p.send(fromProcess{Begin: &work{Dir: dir, Key: key}}); err != nil {
		return nil, err
	}
	return func() { _ = p.send(fromProcess{Ended: true}) }, nil // a failed write fails again at the next frame
}

// processor returns the processor time of this process.
func (p *peer) processor() time.Duration { return processorTime(os.Getpid(), p.started) }

// render renders a request and sends the results.
func (p *peer) render(ctx context.Context, r *request) error {
	p.shelf.turn()
	p.told.turn()
	f, err := r.federation()
	if err != nil {
		return err
	}
	files := newRemote(r.Root, p.shelf, p.ask)
	snapshot := federation.Snapshot{Files: files}
	if r.Root != "" {
		snapshot.Files = &remoteDigests{files}
	}
	apps := make(map[string]int, len(f.Apps))
	for i, a := range f.Apps {
		apps[a.Name] = i
	}
	next := 0
	var failed error
	_, findings := p.renderer.Render(ctx, snapshot, f, func(_ federation.Cluster, bundles []federation.Bundle) {
		if failed == nil {
			failed = p.give(next, apps, bundles)
		}
		next++
	})
	if failed != nil {
		return failed
	}
	for f := range slices.Chunk(findings, 50) {
		for i := range f {
			f[i] = short(f[i])
		}
		if err := p.add(fromProcess{Findings: f}); err != nil {
			return err
		}
	}
	return p.send(fromProcess{End: &end{Stopped: ctx.Err() != nil}})
}

// give sends a cluster's bundles, after the objects, lists and errors that are
// new in them.
func (p *peer) give(cluster int, apps map[string]int, bundles []federation.Bundle) error {
	g := given{Cluster: cluster, Bundles: make([]bundle, len(bundles))}
	for i, b := range bundles {
		g.Bundles[i].App = apps[b.App]
		var err error
		if b.Err != nil {
			g.Bundles[i].Error, err = p.fail(b.Err)
		} else {
			g.Bundles[i].List, err = p.list(b.Objects)
		}
		if err != nil {
			return err
		}
	}
	return p.send(fromProcess{Given: &g})
}

// fail returns the id of an error, which it sends if the parent does not have
// it.
func (p *peer) fail(err error) (uint64, error) {
	id, known := p.told.failure(err)
	if known {
		return id, nil
	}
	found := problems(err)
	if p.told.problems += len(found); p.told.problems > sentProblems {
		shared, failed := p.shared()
		if reflect.TypeOf(err).Comparable() {
			p.told.errors[err] = shared
		}
		return shared, failed
	}
	return id, p.add(fromProcess{Failure: &failure{ID: id, Problems: found}})
}

// sentProblems is how many problems one rendering sends with its bundles; the findings
// name fewer.
const sentProblems = 20 * limit.Findings

// shared returns the id of the error that replaces the errors of further
// bundles when there are too many.
func (p *peer) shared() (uint64, error) {
	if p.told.shared != 0 {
		return p.told.shared, nil
	}
	p.told.next++
	p.told.shared = p.told.next
	text := fmt.Sprintf("the mistakes here are omitted: the revision has more than %s mistakes", limit.Number(sentProblems))
	return p.told.shared, p.add(fromProcess{Failure: &failure{ID: p.told.shared, Problems: []problem{{Text: text}}}})
}

// list returns the id of a list, which it sends with its objects if the parent does
// not have it; 0 for an empty list.
func (p *peer) list(objects []*federation.Object) (uint64, error) {
	id, l, fresh := p.told.list(objects)
	var (
		piece  []object
		behind [][]byte
		size   int
	)
	flush := func() error {
		if len(piece) == 0 {
			return nil
		}
		err := p.add(fromProcess{Objects: piece}, behind...)
		piece, behind, size = nil, nil, 0
		return err
	}
	for i, o := range fresh {
		piece, behind = append(piece, o), append(behind, l.fresh[i].JSON)
		if size += encoded(o.File); size > maxPiece {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := flush(); err != nil || l == nil {
		return id, err
	}
	return id, p.add(fromProcess{List: &l.list})
}

// told records which objects and lists the parent has: those of the last two
// renderings. The parent forgets them by the same rule.
type told struct {
	generation uint64
	next       uint64
	objects    map[*federation.Object]*toldObject
	lists      map[listKey]*toldList

	// Of this rendering.
	errors   map[error]uint64
	problems int
	shared   uint64 // the id of the error that replaces too many errors; 0 for none
}

// A listKey identifies a list: the renderer returns equal lists as the same
// slice.
type listKey struct {
	first *federation.Object
	array **federation.Object
	len   int
}

type toldObject struct {
	id   uint64
	used uint64
}

type toldList struct {
	id      uint64
	used    uint64
	objects []*federation.Object
}

func newTold() *told {
	return &told{objects: map[*federation.Object]*toldObject{}, lists: map[listKey]*toldList{}}
}

// turn starts the next rendering.
func (t *told) turn() {
	t.generation++
	t.errors, t.problems, t.shared = map[error]uint64{}, 0, 0
	for key, l := range t.lists {
		if l.used+2 < t.generation {
			delete(t.lists, key)
		}
	}
	for o, known := range t.objects {
		if known.used+2 < t.generation {
			delete(t.objects, o)
		}
	}
}

// failure returns the id of an error, and whether the parent has it: clusters that
// share a build share its error.
func (t *told) failure(err error) (id uint64, known bool) {
	comparable := reflect.TypeOf(err).Comparable()
	if comparable {
		if id, known = t.errors[err]; known {
			return id, true
		}
	}
	t.next++
	if comparable {
		t.errors[err] = t.next
	}
	return t.next, false
}

// A newList is a list that the parent does not have.
type newList struct {
	list  list
	fresh []*federation.Object
}

// list returns the id of a list. If the parent does not have the list, it also
// returns the list and the objects that the parent does not have.
func (t *told) list(objects []*federation.Object) (uint64, *newList, []object) {
	if len(objects) == 0 {
		return 0, nil, nil
	}
	key := listKey{objects[0], &objects[0], len(objects)}
	if known, ok := t.lists[key]; ok {
		if known.used != t.generation {
			known.used = t.generation
			for _, o := range known.objects {
				t.objects[o].used = t.generation
			}
		}
		return known.id, nil, nil
	}
	t.next++
	l := &newList{list: list{ID: t.next, Objects: make([]uint64, len(objects))}}
	t.lists[key] = &toldList{id: t.next, used: t.generation, objects: objects}
	var fresh []object
	for i, o := range objects {
		known, ok := t.objects[o]
		if !ok {
			t.next++
			known = &toldObject{id: t.next}
			t.objects[o] = known
			fresh = append(fresh, object{ID: known.id, File: o.File, Size: len(o.JSON)})
			l.fresh = append(l.fresh, o)
		}
		known.used = t.generation
		l.list.Objects[i] = known.id
	}
	return l.list.ID, l, fresh
}
