package worker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// processName is the program's name, its first argument, when it is to be a worker.
const processName = "fedsync-worker"

// Serve is to be the first thing that the main function of a program with a Worker
// calls. It returns at once, but not in the process that a Worker has started: that
// one renders and ends with its pipe.
func Serve() {
	if len(os.Args) != 2 || os.Args[0] != processName {
		return
	}
	memory, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		os.Exit(2)
	}
	os.Exit(serve(memory))
}

func serve(memory int64) int {
	runtime.GOMAXPROCS(1) // and another for those who apply
	debug.SetGCPercent(100)
	// The limit of the kernel ends the process: the garbage is to go before it.
	debug.SetMemoryLimit(memory - memory/8)
	debug.SetMaxStack(maxStack)
	http.DefaultTransport = refusing{}
	p := newPeer(os.Stdin, os.Stdout)
	if err := p.say(fromProcess{Hello: confine(memory)}); err != nil {
		return 1
	}
	p.listen()
	return 0 // the parent is gone
}

// maxStack is the most bytes of a goroutine's stack: what nests deeper than that is
// no manifest. It is a quarter of Go's own, so that it is met before the memory is.
const maxStack = 64 << 20

// refusing is an HTTP transport that asks nobody. The filter of system calls would
// not let it; this also gives a reason.
type refusing struct{}

// RoundTrip refuses.
func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nothing is fetched for a build")
}

// A peer is the process's side of the conversation.
type peer struct {
	in      *bufio.Reader
	answers chan reply
	asking  sync.Mutex // held from a question to its answer

	renderer *render.Renderer
	shelf    *shelf
	told     *told

	outMu sync.Mutex // protects out
	out   *bufio.Writer

	mu      sync.Mutex // protects what follows
	stop    context.CancelFunc
	refused map[string]refusal
}

type reply struct {
	answer  answer
	content []byte
}

func newPeer(in io.Reader, out io.Writer) *peer {
	p := &peer{
		in: bufio.NewReaderSize(in, 1<<16), out: bufio.NewWriterSize(out, 1<<16), answers: make(chan reply),
		shelf: &shelf{folders: map[string]*folder{}}, told: newTold(),
	}
	p.renderer = render.New(render.Options{Workers: 1, Begin: p.begin})
	return p
}

// listen does what the parent says until it says no more.
func (p *peer) listen() {
	for {
		var m toProcess
		if err := readFrame(p.in, &m); err != nil {
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
			p.mu.Unlock()
			go func() {
				defer stop()
				if p.render(ctx, m.Render) != nil {
					os.Exit(1) // the parent is gone
				}
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

// say sends a frame at once.
func (p *peer) say(m fromProcess, behind ...[]byte) error {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	if err := writeFrame(p.out, m, behind...); err != nil {
		return err
	}
	return p.out.Flush()
}

// ask has the parent answer a question.
func (p *peer) ask(q question) (answer, []byte, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if err := p.say(fromProcess{Ask: &q}); err != nil {
		return answer{}, nil, err
	}
	r := <-p.answers
	return r.answer, r.content, nil
}

// begin tells the parent which work begins, unless it is not to begin.
func (p *peer) begin(dir, key string) (func(), error) {
	p.mu.Lock()
	r, refused := p.refused[key]
	p.mu.Unlock()
	if refused {
		return nil, &render.Error{Reason: r.Reason, Remedy: r.Remedy}
	}
	if err := p.say(fromProcess{Begin: &work{Dir: dir, Key: key}}); err != nil {
		return nil, err
	}
	return func() { _ = p.say(fromProcess{Ended: true}) }, nil // what fails fails again
}

// render renders what a request asks for, and gives it.
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
	return p.say(fromProcess{End: &end{Stopped: ctx.Err() != nil, Findings: findings}})
}

// give sends a cluster's bundles.
func (p *peer) give(cluster int, apps map[string]int, bundles []federation.Bundle) error {
	g := given{Cluster: cluster, Bundles: make([]bundle, len(bundles))}
	var behind [][]byte
	for i, b := range bundles {
		g.Bundles[i].App = apps[b.App]
		if b.Err != nil {
			id, known := p.told.failure(b.Err)
			if !known {
				g.Errors = append(g.Errors, failure{ID: id, Problems: problems(b.Err)})
			}
			g.Bundles[i].Error = id
			continue
		}
		id, l, content := p.told.list(b.Objects)
		g.Bundles[i].List = id
		if l != nil {
			g.Lists = append(g.Lists, *l)
			behind = slices.Concat(behind, content)
		}
	}
	return p.say(fromProcess{Given: &g}, behind...)
}

// told is what the parent knows of objects and lists: those of the last two
// renderings. The parent forgets by the same rule.
type told struct {
	generation uint64
	next       uint64
	objects    map[*federation.Object]*toldObject
	lists      map[listKey]*toldList
	errors     map[error]uint64 // of this rendering
}

// A listKey tells lists apart: the renderer gives equal lists as the same slice.
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

// turn begins a rendering.
func (t *told) turn() {
	t.generation++
	t.errors = map[error]uint64{}
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

// failure returns the id of an error, and whether the parent knows it: clusters share
// the error of what they share.
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

// list returns the id of a list and, where the parent does not know it, the list
// and the content of those objects that it does not know either.
func (t *told) list(objects []*federation.Object) (uint64, *list, [][]byte) {
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
	l := &list{ID: t.next, Objects: make([]object, len(objects))}
	t.lists[key] = &toldList{id: t.next, used: t.generation, objects: objects}
	var content [][]byte
	for i, o := range objects {
		known, ok := t.objects[o]
		if !ok {
			t.next++
			known = &toldObject{id: t.next}
			t.objects[o] = known
			l.Objects[i].File, l.Objects[i].Size = o.File, len(o.JSON)
			content = append(content, o.JSON)
		}
		known.used = t.generation
		l.Objects[i].ID = known.id
	}
	return l.ID, l, content
}
