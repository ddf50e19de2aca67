package agenda

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// start is when the tables of these tests began.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sketch is a hand-made table of a cluster in which every kind is listed, and namespace
// ns and the inventory of app web exist.
type sketch struct {
	testing.TB
	*state.State
	plan federation.ClusterPlan
}

func newSketch(t testing.TB) *sketch {
	s := &sketch{TB: t, State: state.New(state.Settings{Owner: inventory.Owner{Federation: "web", Source: "source"}, Instance: "one", ListTimeout: 10 * time.Second})}
	s.Since = start
	s.Listings.Parents.Done, s.Listings.Spaces.Done = true, true
	*s.Space("ns") = state.Space{Known: true, Exists: true, Mark: state.SpaceMark{Uid: "ns"}}
	*s.Space("other") = state.Space{Known: true, Exists: true, Mark: state.SpaceMark{Uid: "other"}}
	s.plan.Revision.SHA = "1"
	s.plan.Apps = []federation.AppPlan{{App: "web", Prune: federation.PruneAllowed}}
	return s
}

func (s *sketch) ref(name string) federation.ObjectRef {
	s.Helper()
	ref, err := federation.ParseObjectRef(name)
	if err != nil {
		s.Fatal(err)
	}
	return ref
}

// want makes app web want objects, named as in "apps/ReplicaSet/ns/a". Node ports may
// follow a Service's name: "Service/ns/a 30001 30002".
func (s *sketch) want(names ...string) {
	s.Helper()
	var objects []*federation.Object
	for _, name := range names {
		name, ports, _ := strings.Cut(name, " ")
		ref := s.ref(name)
		version := "v1"
		if ref.Group != "" {
			version = ref.Group + "/v1"
		}
		content := map[string]any{"apiVersion": version, "kind": ref.Kind, "metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace}}
		if ref.Namespace == "" {
			delete(content["metadata"].(map[string]any), "namespace")
		}
		var list []any
		for p := range strings.FieldsSeq(ports) {
			n, err := strconv.ParseInt(p, 10, 32)
			if err != nil {
				s.Fatal(err)
			}
			list = append(list, map[string]any{"port": n, "nodePort": n})
		}
		if list != nil {
			content["spec"] = map[string]any{"ports": list}
		}
		if ref.GroupKind() == object.DefinitionKind {
			_, group, _ := strings.Cut(ref.Name, ".")
			content["spec"] = map[string]any{"group": group, "names": map[string]any{"kind": "Thing"}}
		}
		o, err := federation.NewObject(content, "all.yaml")
		if err != nil {
			s.Fatal(err)
		}
		objects = append(objects, o)
	}
	s.plan.Apps[0].Objects = objects
	s.Take(s.plan)
	for _, r := range s.Rows {
		s.knows(r.Ref.GroupKind())
	}
	s.widen()
}

// knows makes the cluster serve a kind, with its objects listed.
func (s *sketch) knows(gk schema.GroupKind) *state.Kind {
	k := s.Kind(gk)
	if k.Mapping == nil && k.Last.Err == nil {
		gvr := schema.GroupVersionResource{Group: gk.Group, Version: "v1", Resource: strings.ToLower(gk.Kind) + "s"}
		k.Mapping = &meta.RESTMapping{Resource: gvr, Scope: meta.RESTScopeNamespace}
		k.Since = start
		s.Lists[gvr.GroupResource()] = state.Listing{Done: true}
	}
	return k
}

// widen makes the inventory list everything that the app has and shows.
func (s *sketch) widen() {
	p := &write.Parent{Parent: inventory.Parent{UID: "parent", ResourceVersion: "1", Instance: "one", Source: "source"}}
	for _, r := range s.Rows {
		p.Add(r.Ref)
	}
	s.App("web").Parent = p
}

// shows makes the cluster show an object of ours, with these node ports.
func (s *sketch) shows(name string, ports ...int32) *state.Row {
	s.Helper()
	ref := s.ref(name)
	s.knows(ref.GroupKind())
	r := s.Row(ref)
	v := &object.Live{UID: types.UID(name), Version: "7", PartOf: inventory.PartOf("web", "web"), View: ownership.View{Owned: true}}
	for _, p := range ports {
		v.Ports = append(v.Ports, object.Port{Protocol: "TCP", Number: p})
	}
	r.Live, r.Base, r.Seen = v, v, start
	r.Resource = s.Kind(ref.GroupKind()).Mapping.Resource
	s.App("web").Parent.Add(ref)
	return r
}

// settles makes objects match Git.
func (s *sketch) settles(names ...string) {
	s.Helper()
	for _, name := range names {
		r := s.shows(name)
		r.Live.Ports = r.Want.NodePorts()
		r.Made = r.Want.Wish()
	}
}

// refuses makes an object's last request be refused that many seconds after the start.
func (s *sketch) refuses(name string, seconds int, class refusal.Class, text string) *state.Row {
	s.Helper()
	r := s.Rows[s.ref(name)]
	e := refusal.New("apply", r.Ref, "", errors.New(text))
	e.Class = class
	now := start.Add(time.Duration(seconds) * time.Second)
	f := &state.Flight{Since: now.Add(-100 * time.Millisecond), Around: s.Around(r)}
	r.Last.Failed(now, e, f)
	if reason := r.Last.Reason; reason != "" {
		p := s.Pauses[reason]
		if p == nil {
			p = &state.Pause{}
			s.Pauses[reason] = p
		}
		p.Failures++
		p.At, p.Until = now, now.Add(state.Backoff(state.PauseFirst, p.Failures, state.PauseShared))
	}
	s.Kind(r.Ref.GroupKind()).Hung = class == refusal.ClassTimeout
	return r
}

// flies makes a request for an object be under way since that many seconds after the
// start.
func (s *sketch) flies(name string, seconds int) {
	s.Rows[s.ref(name)].Flight = &state.Flight{Since: start.Add(time.Duration(seconds) * time.Second)}
}

func describeTasks(tasks []Item) []string {
	names := map[Type]string{
		Learn: "learn", FindNamespace: "space", Widen: "widen", Put: "put", Park: "park", Remove: "remove",
		Narrow: "narrow", Ask: "ask",
	}
	var out []string
	for _, x := range tasks {
		text := names[x.Type]
		switch {
		case x.Row != nil:
			text += " " + x.Row.Ref.Kind + "/" + x.Row.Ref.Name
		case x.App != nil:
			text += " " + x.App.Name
		case x.Space != "":
			text += " " + x.Space
		}
		for _, gk := range x.Kinds {
			text += " " + gk.Kind
		}
		out = append(out, text)
	}
	return out
}

func TestTheAgendaFollowsFromTheTable(t *testing.T) {
	const (
		config     = "ConfigMap/ns/a"
		config2    = "ConfigMap/ns/b"
		service    = "Service/ns/a"
		service2   = "Service/ns/b"
		replicaSet = "apps/ReplicaSet/ns/a"
		ingress    = "networking.k8s.io/Ingress/ns/a"
		definition = "apiextensions.k8s.io/CustomResourceDefinition/things.example.com"
		thing      = "example.com/Thing/ns/a"
	)
	thingKind := schema.GroupKind{Group: "example.com", Kind: "Thing"}
	noMatch := func(s *sketch, at time.Time, failures int) *state.Kind {
		k := s.Kind(thingKind)
		k.Mapping = nil
		k.Last = state.Try{Err: refusal.New("discover", federation.ObjectRef{Group: "example.com", Kind: "Thing"}, "", &meta.NoKindMatchError{GroupKind: thingKind}), At: at, Failures: failures}
		k.Asked = s.Definition(thingKind)
		return k
	}
	for _, c := range []struct {
		name  string
		at    time.Duration // after the start
		table func(s *sketch)
		want  []string
		next  time.Duration // after the start; zero for none
		busy  bool          // not calm
	}{
		{name: "nothing is wanted", table: func(*sketch) {}},
		{name: "all is as wanted", table: func(s *sketch) { s.want(config, ingress); s.settles(config, ingress) }},
		{
			name:  "the first kinds go first",
			table: func(s *sketch) { s.want(config, config2, service, ingress) },
			want:  []string{"put ConfigMap/a", "put ConfigMap/b"}, busy: true,
		},
		{
			name:  "later kinds wait for what is under way",
			at:    time.Second,
			table: func(s *sketch) { s.want(config, config2, service); s.flies(config, 0) },
			want:  []string{"put ConfigMap/b"}, next: 2 * time.Second, busy: true,
		},
		{
			name:  "and not for what takes long",
			at:    2 * time.Second,
			table: func(s *sketch) { s.want(config, config2, service); s.flies(config, 0) },
			want:  []string{"put Service/a"}, busy: true,
		},
		{
			name:  "and not for what was refused",
			at:    500 * time.Millisecond,
			table: func(s *sketch) { s.want(config, service); s.refuses(config, 0, refusal.ClassInvalid, "no") },
			want:  []string{"put Service/a"}, next: time.Second, busy: true,
		},
		{
			name: "a retry holds up nothing",
			at:   4 * time.Second,
			table: func(s *sketch) {
				s.want(config, service)
				s.refuses(config, 0, refusal.ClassInvalid, "no")
				s.flies(config, 3)
			},
			want: []string{"put Service/a"}, next: 5 * time.Second, busy: true,
		},
		{
			name: "of what is refused for one reason one is tried",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config, config2)
				s.refuses(config, 1, refusal.ClassQuota, "exceeded quota: q, used")
				s.refuses(config2, 0, refusal.ClassQuota, "exceeded quota: q, used")
			},
			want: []string{"put ConfigMap/b"},
		},
		{
			name: "and none while one is under way",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config, config2)
				s.refuses(config, 0, refusal.ClassQuota, "exceeded quota: q, used")
				s.refuses(config2, 0, refusal.ClassQuota, "exceeded quota: q, used")
				s.flies(config2, 59)
			},
			next: 61 * time.Second,
		},
		{
			name: "one that may not be tried now does not represent the others",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config, config2)
				s.refuses(config, 0, refusal.ClassQuota, "exceeded quota: q, used").Fight = &state.Fight{Until: start.Add(time.Hour)}
				s.refuses(config2, 1, refusal.ClassQuota, "exceeded quota: q, used")
			},
			want: []string{"put ConfigMap/b"}, next: time.Hour,
		},
		{
			name: "when one goes through the others are tried at once",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(config, config2, service)
				for _, name := range []string{config, config2, service} {
					s.refuses(name, 0, refusal.ClassAdmission, "denied")
				}
				s.Rows[s.ref(config)].Last.Reason, s.Rows[s.ref(config2)].Last.Reason = "admission x", "admission x"
				s.Released(s.Rows[s.ref(config)])
				s.settles(config)
				s.Rows[s.ref(config)].Last = state.Try{}
			},
			want: []string{"put ConfigMap/b", "put Service/a"},
		},
		{
			name: "what changed ends the pause soon",
			at:   10 * time.Second,
			table: func(s *sketch) {
				s.want(config)
				for range 6 {
					s.refuses(config, 7, refusal.ClassAdmission, "denied")
				}
				s.Spaces["ns"].Mark.Labels++
			},
			next: 12 * time.Second,
		},
		{
			name: "and then it is tried",
			at:   12 * time.Second,
			table: func(s *sketch) {
				s.want(config)
				for range 6 {
					s.refuses(config, 7, refusal.ClassAdmission, "denied")
				}
				s.Spaces["ns"].Mark.Labels++
			},
			want: []string{"put ConfigMap/a"},
		},
		{
			name: "tries of different reasons keep their distance",
			at:   9 * time.Second,
			table: func(s *sketch) {
				s.want(config, service)
				s.refuses(config, 0, refusal.ClassExists, "it exists")
				s.refuses(config, 7, refusal.ClassExists, "it exists")
				s.refuses(service, 0, refusal.ClassExists, "it exists")
			},
			next: 11 * time.Second,
		},
		{
			name: "of a kind that hangs one is tried",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config, config2, service)
				s.refuses(config, 10, refusal.ClassTimeout, "no answer")
				s.settles(service)
			},
			want: []string{"put ConfigMap/b"},
		},
		{
			name: "a pause without objects holds nothing",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.refuses(config, 0, refusal.ClassTimeout, "no answer")
				s.want(config2)
			},
			want: []string{"put ConfigMap/b"},
		},
		{
			name: "of a kind that hangs what was never tried goes first",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config, config2, "ConfigMap/ns/c", service)
				s.refuses(config, 1, refusal.ClassTimeout, "no answer")
				s.refuses(config2, 2, refusal.ClassTimeout, "no answer")
			},
			want: []string{"put Service/a", "put ConfigMap/c"}, busy: true,
		},
		{
			name: "a missing inventory is written first",
			table: func(s *sketch) {
				s.want(config)
				s.App("web").Parent = nil
			},
			want: []string{"widen web"}, busy: true,
		},
		{
			name: "also where every object is there",
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.App("web").Parent = nil
			},
			want: []string{"widen web"}, busy: true,
		},
		{
			name: "without the right to it the objects go ahead",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.App("web").Parent = nil
				s.App("web").Last = state.Try{Err: &refusal.Error{Class: refusal.ClassForbidden, Err: errors.New("no")}, At: start, Failures: 5}
			},
			want: []string{"put ConfigMap/a"}, next: 16 * time.Second, busy: true,
		},
		{
			name: "and the inventory is tried again when all is applied",
			at:   30 * time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.App("web").Parent = nil
				s.App("web").Last = state.Try{Err: &refusal.Error{Class: refusal.ClassForbidden, Err: errors.New("no")}, At: start, Failures: 9}
			},
			want: []string{"widen web"},
		},
		{
			name: "an inventory that hangs does not hold up other apps",
			at:   3 * time.Second,
			table: func(s *sketch) {
				s.plan.Apps = append(s.plan.Apps, federation.AppPlan{App: "other"})
				s.want(config)
				s.App("web").Parent = nil
				s.App("web").Flight = &state.Flight{Since: start}
				r := s.Row(s.ref(ingress))
				d := *s.Rows[s.ref(config)].Want
				d.App, d.Ref = "other", r.Ref
				r.Want = &d
				s.App("other").Has.Add(r.Ref)
				s.knows(r.Ref.GroupKind())
				*s.App("other") = state.App{Name: "other", Has: s.App("other").Has, Parent: &write.Parent{
					Parent: inventory.Parent{Instance: "one", Source: "source", Contents: s.App("other").Has},
				}}
			},
			want: []string{"put Ingress/a"}, busy: true,
		},
		{
			name: "a namespace that is missing is made",
			table: func(s *sketch) {
				s.plan.CreateNamespaces = true
				s.want(config)
				*s.Space("ns") = state.Space{Known: true}
			},
			want: []string{"space ns"}, busy: true,
		},
		{
			name:  "or waited for",
			table: func(s *sketch) { s.want(config, ingress); *s.Space("ns") = state.Space{Known: true} },
		},
		{
			name: "as is one that terminates, also where Git wants it",
			table: func(s *sketch) {
				s.want("Namespace/ns", config, ingress)
				s.settles("Namespace/ns")
				s.Rows[s.ref("Namespace/ns")].Live.Terminating = true
				*s.Space("ns") = state.Space{Known: true, Exists: true, Terminating: true}
			},
		},
		{
			name: "where namespaces are not watched it is read again",
			at:   time.Minute,
			table: func(s *sketch) {
				s.want(config)
				s.Listings.Spaces.Done, s.Listings.Spaces.Err = false, errors.New("it is not watched")
				*s.Space("ns") = state.Space{Known: true, Exists: true, Terminating: true, At: start}
			},
			want: []string{"space ns"},
		},
		{
			name: "an object waits for its kind's definition",
			table: func(s *sketch) {
				s.want(definition, thing, ingress)
				noMatch(s, start, 1)
			},
			want: []string{"put CustomResourceDefinition/things.example.com"}, busy: true,
		},
		{
			name: "and asks soon after it is there",
			at:   50 * time.Millisecond,
			table: func(s *sketch) {
				s.want(definition, thing, ingress)
				s.settles(definition)
				noMatch(s, start, 1)
			},
			next: 100 * time.Millisecond, busy: true,
		},
		{
			name: "at once when it is another, or established",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(definition, thing, ingress)
				s.settles(definition)
				noMatch(s, start, 9)
				s.Rows[s.ref(definition)].Live.Established = true
			},
			want: []string{"learn Thing"}, busy: true,
		},
		{
			name: "a definition that is going holds up nothing but its kind",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(definition, thing, ingress)
				s.settles(definition)
				s.Rows[s.ref(definition)].Live.Terminating = true
				noMatch(s, start, 9)
			},
			want: []string{"put Ingress/a"}, next: 30 * time.Second, busy: true,
		},
		{
			name: "what left goes in reverse, and waits for what is going",
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.shows(service)
				s.shows(ingress)
			},
			want: []string{"remove Ingress/a"}, busy: true,
		},
		{
			name: "for its finalizers, too",
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.shows(service)
				s.shows(ingress).Live.Terminating = true
			},
		},
		{
			name: "nothing goes before all of its app is applied",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.shows(service)
				s.refuses(config, 0, refusal.ClassInvalid, "no")
			},
			want: []string{"put ConfigMap/a"},
		},
		{
			name: "but a Service whose port is wanted",
			at:   500 * time.Millisecond,
			table: func(s *sketch) {
				s.want(config, service+" 30001")
				s.shows(service2, 30001)
				s.refuses(config, 0, refusal.ClassInvalid, "no")
			},
			want: []string{"remove Service/b"}, next: time.Second, busy: true,
		},
		{
			name: "the one that gives a port up goes first",
			table: func(s *sketch) {
				s.want(service+" 30002", service2+" 30003")
				s.shows(service, 30001)
				s.shows(service2, 30002)
			},
			want: []string{"put Service/b"}, busy: true,
		},
		{
			name: "of a circle one makes room",
			table: func(s *sketch) {
				s.want(service+" 30002", service2+" 30001")
				s.shows(service, 30001)
				s.shows(service2, 30002)
			},
			want: []string{"park Service/a"}, busy: true,
		},
		{
			name: "one that waits for the end of another holds up nothing",
			table: func(s *sketch) {
				s.want(service+" 30002", replicaSet)
				s.shows(service2, 30002).Live.Terminating = true
			},
			want: []string{"put ReplicaSet/a"}, busy: true,
		},
		{
			name: "an inventory is narrowed when all else is done",
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.App("web").Parent.Kinds[object.ServiceKind] = true
				s.knows(object.ServiceKind)
			},
			want: []string{"narrow web"}, busy: true,
		},
		{
			name: "and not while a kind is not seen",
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.App("web").Parent.Kinds[object.ServiceKind] = true
				s.Lists[s.knows(object.ServiceKind).Mapping.Resource.GroupResource()] = state.Listing{Err: errors.New("it is not watched")}
			},
		},
		{
			name: "nothing goes to a silent API server",
			at:   time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.Silent = state.Try{Err: &refusal.Error{Class: refusal.ClassUnreachable, Err: errors.New("no")}, At: start, Failures: 2}
			},
			next: 2 * time.Second,
		},
		{
			name: "but one request after the pause",
			at:   2 * time.Second,
			table: func(s *sketch) {
				s.want(config, config2)
				s.Silent = state.Try{Err: &refusal.Error{Class: refusal.ClassUnreachable, Err: errors.New("no")}, At: start, Failures: 2}
			},
			want: []string{"put ConfigMap/a"}, busy: true,
		},
		{
			name: "also where there is nothing to do",
			at:   2 * time.Second,
			table: func(s *sketch) {
				s.want(config)
				s.settles(config)
				s.Silent = state.Try{Err: &refusal.Error{Class: refusal.ClassUnreachable, Err: errors.New("no")}, At: start, Failures: 2}
			},
			want: []string{"ask"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSketch(t)
			c.table(s)
			got := At(s.State, start.Add(c.at))
			if tasks := describeTasks(got.Tasks); !slices.Equal(tasks, c.want) {
				t.Errorf("tasks\n got %q\nwant %q", tasks, c.want)
			}
			if next := got.Next.Sub(start); c.next == 0 && !got.Next.IsZero() && len(c.want) == 0 || c.next != 0 && next != c.next {
				t.Errorf("next after %s, want %s", next, c.next)
			}
			if got.Calm == c.busy {
				t.Errorf("calm = %v, want %v", got.Calm, !c.busy)
			}
		})
	}
}

// The plan has every app in the inventory. If an app left the inventory with its last
// object, the next plan would not name it, and nothing would delete its parent.
func TestAnAppIsInTheInventoryAsLongAsItsParentIs(t *testing.T) {
	s := newSketch(t)
	s.want("ConfigMap/ns/a")
	s.settles("ConfigMap/ns/a")
	s.want()
	if got := s.Inventories()["web"]; len(got) != 1 {
		t.Fatalf("the inventory of web is %v, want its one object", got)
	}
	s.Rows[s.ref("ConfigMap/ns/a")].Live = nil
	if _, ok := s.Inventories()["web"]; !ok {
		t.Error("web went from the inventory before its parent did")
	}
	if got := describeTasks(At(s.State, start.Add(time.Minute)).Tasks); !slices.Equal(got, []string{"narrow web"}) {
		t.Errorf("due is %v, want the parent gone", got)
	}
	if s.Complete() {
		t.Error("the cluster counts as complete, but still has the parent")
	}
	// The previous instance was stopped at this point: its name is replaced first.
	s.App("web").Parent.Instance = "two"
	if got := describeTasks(At(s.State, start.Add(time.Minute)).Tasks); !slices.Equal(got, []string{"widen web"}) || s.Complete() {
		t.Errorf("due is %v, complete %t; want our name on the parent, and not complete", got, s.Complete())
	}
	s.App("web").Parent = nil
	if _, ok := s.Inventories()["web"]; ok || !s.Complete() {
		t.Error("the parent is gone, and web is still there")
	}
}
