package review

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pull(number int64) status.PullRequest {
	return status.PullRequest{Number: number, Head: head(number), Ref: fmt.Sprintf("refs/pull/%d/head", number), Base: "main"}
}

func head(number int64) string { return fmt.Sprintf("%040x", number) }

// planOf is the plan of a head that makes one Service with a node port.
func planOf(number int64, port int32, verdict plan.Verdict) *plan.Plan {
	service := federation.ObjectRef{Kind: "Service", Namespace: "web", Name: fmt.Sprintf("s%d", number)}
	return &plan.Plan{
		Base: federation.Revision{SHA: "tip"}, Head: federation.Revision{SHA: head(number)}, Verdict: verdict,
		Summary:  untrusted.Textf("1 to create by %d", number),
		Clusters: []plan.Cluster{{Name: "c1", Objects: 1}},
		Objects:  []plan.ObjectChange{{Action: plan.Create, Object: service, Clusters: []string{"c1"}}},
		Ports:    []plan.PortChange{{Service: service, Protocol: "TCP", Port: 80, After: port}},
	}
}

func stateOf(pulls ...status.PullRequest) State {
	return State{
		Policy: Policy{Unknown: Wait, Deadline: 15 * time.Minute},
		Open:   pulls, Tip: "tip", Now: now, Made: map[string]Made{}, Doing: map[string]string{},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{"c1": {State: federation.ClusterReady, Synced: true, PortsKnown: true}}},
	}
}

// plan makes the plan of a pull request by the state's facts.
func (s State) plan(number int64, port int32, verdict plan.Verdict) {
	s.Made[head(number)] = Of(planOf(number, port, verdict), s.Facts, s.Made[head(number)], s.Now)
}

func begun(s State) []int64 {
	begin, _, _ := s.Next()
	numbers := []int64{}
	for _, pr := range begin {
		numbers = append(numbers, pr.Number)
	}
	return numbers
}

func TestTheNewestIsPlannedFirstTwoAtATime(t *testing.T) {
	s := stateOf(pull(9), pull(7), pull(5))
	if got := begun(s); !slices.Equal(got, []int64{9, 7}) {
		t.Errorf("begun = %v, want the two newest", got)
	}
	s.Doing[head(9)] = "tip"
	if got := begun(s); !slices.Equal(got, []int64{7}) {
		t.Errorf("with one under way begun = %v, want one more", got)
	}
	s.Doing[head(7)] = "tip"
	if got := begun(s); len(got) > 0 {
		t.Errorf("with two under way begun = %v, want none", got)
	}
}

func TestWhatNobodyKnowsGoesBeforeWhatIsBehindAndThatBeforeWhatIsDoubted(t *testing.T) {
	s := stateOf(pull(9), pull(8), pull(7), pull(6))
	for _, n := range []int64{9, 8, 7} {
		s.plan(n, int32(30000+n), plan.Changes)
	}
	behind := s.Made[head(8)]
	behind.Tip = "earlier"
	s.Made[head(8)] = behind
	s.Now = now.Add(time.Minute)
	s.Facts = federation.Facts{Clusters: map[string]federation.ClusterFacts{"c1": {
		State: federation.ClusterReady, Synced: true, PortsKnown: true,
		NodePorts: []federation.NodePort{{Protocol: "TCP", Port: 30007, Namespace: "x", Service: "y"}},
	}}}
	if got := begun(s); !slices.Equal(got, []int64{6, 8}) {
		t.Errorf("begun = %v, want 6, which is new, and 8, which is behind", got)
	}
	s.Doing[head(6)] = "tip"
	s.Made[head(8)] = Made{Head: head(8), Tip: "tip", Verdict: plan.Same, Facts: digest(s.Facts, Claims{})}
	if got := begun(s); !slices.Equal(got, []int64{7}) {
		t.Errorf("begun = %v, want 7, whose port somebody has now, and not 9", got)
	}
}

func TestAPlanIsOfNoUseForAnotherTipOrAHeadThatNobodyProposes(t *testing.T) {
	s := stateOf(pull(9), pull(8))
	s.Doing = map[string]string{head(9): "tip", head(8): "earlier", head(1): "tip"}
	_, stop, _ := s.Next()
	if want := []string{head(1), head(8)}; !slices.Equal(stop, want) {
		t.Errorf("stop = %v, want %v", stop, want)
	}
	s.Tip = "" // a revision is on its way to the clusters
	begin, stop, _ := s.Next()
	if len(begin) > 0 || len(stop) != 3 {
		t.Errorf("while a revision is on its way begin = %v, stop = %v; want none, and all", begin, stop)
	}
}

// What was planned leaves a place to what nobody knows yet.
func TestOneThatWasPlannedIsMadeAgainAtATime(t *testing.T) {
	s := stateOf(pull(9), pull(8), pull(7))
	for number := range int64(3) {
		s.plan(7+number, int32(30000+number), plan.Changes)
	}
	s.Tip = "other"
	if got := begun(s); len(got) != 1 {
		t.Errorf("begun = %v, want one of those that were planned", got)
	}
	s.Doing[head(7)] = s.Tip
	if got := begun(s); len(got) != 0 {
		t.Errorf("beside one begun = %v, want none", got)
	}
	s.Open = append(s.Open, pull(10))
	if got := begun(s); !slices.Equal(got, []int64{10}) {
		t.Errorf("beside one begun = %v, want the new one", got)
	}
}

// A base that is pushed again before all are planned leaves none behind.
func TestABaseThatIsPushedOftenLeavesNoneBehind(t *testing.T) {
	s := stateOf(pull(9), pull(8), pull(7), pull(6), pull(5), pull(4), pull(3), pull(2))
	times := map[string]int{}
	for push := range 12 {
		s.Tip = fmt.Sprint("tip ", push)
		for range 2 { // and then the next push comes
			begin, _, _ := s.Next()
			for _, pr := range begin {
				s.Now = s.Now.Add(time.Second)
				s.Made[pr.Head] = Made{Head: pr.Head, Tip: s.Tip, At: s.Now, Verdict: plan.Same, Facts: digest(s.Facts, Claims{})}
				times[pr.Head]++
			}
		}
	}
	for _, pr := range s.Open {
		if n := times[pr.Head]; n < 3 || n > 4 { // 8 new ones two at a time, and then one at a time
			t.Errorf("#%d was planned %d times, want 3 or 4 as all of them: %v", pr.Number, n, times)
		}
	}
}

func TestWhatCameToNothingIsTriedAgainUnlessItLasts(t *testing.T) {
	s := stateOf(pull(9), pull(8))
	s.Made[head(9)] = Not(head(9), "tip", untrusted.Const("no answer"), false, now)
	s.Made[head(8)] = Not(head(8), "tip", untrusted.Const("too large"), true, now)
	begin, _, again := s.Next()
	if len(begin) > 0 || !again.Equal(now.Add(retryUnmade)) {
		t.Errorf("begin = %v, again at %s; want none, and in %s", begin, again, retryUnmade)
	}
	s.Now = again
	if got := begun(s); !slices.Equal(got, []int64{9}) {
		t.Errorf("then begun = %v, want 9 alone", got)
	}
}

func TestOnlyOneThatTakesLongIsMadeAgainAtATime(t *testing.T) {
	s := stateOf(pull(9), pull(8), pull(7))
	for _, n := range []int64{9, 8} {
		s.Made[head(n)] = Made{Head: head(n), Tip: "earlier", Took: time.Minute, Verdict: plan.Changes}
	}
	s.plan(7, 30007, plan.Changes)
	if got := begun(s); !slices.Equal(got, []int64{9}) {
		t.Errorf("begun = %v, want one of the slow ones", got)
	}
}

func TestForksAreTurnedOnByTheOperator(t *testing.T) {
	fork := pull(9)
	fork.Fork = true
	s := stateOf(fork, pull(8))
	if got := begun(s); !slices.Equal(got, []int64{8}) {
		t.Errorf("begun = %v, want the repository's own", got)
	}
	if got := s.Tell().Statuses; len(got) != 2 || got[0].State != status.Pending || !strings.Contains(got[0].Description, "another repository") {
		t.Errorf("statuses = %+v, want the fork's to say why it waits", got)
	}
	s.Forks = true
	if got := begun(s); !slices.Equal(got, []int64{9, 8}) {
		t.Errorf("turned on, begun = %v, want both", got)
	}
	// A stranger who proposes somebody's head says nothing against it.
	s.Forks = false
	fork.Head = head(8)
	s.Open = []status.PullRequest{fork, pull(8)}
	s.plan(8, 30008, plan.Changes)
	if got := s.Tell().Statuses; len(got) != 1 || got[0].State != status.Success {
		t.Errorf("statuses = %+v, want the plan's", got)
	}
}

func TestTwoThatTakeOneNodePortAreToldOfEachOther(t *testing.T) {
	s := stateOf(pull(9), pull(8), pull(7))
	s.plan(9, 30080, plan.Changes)
	s.plan(8, 30080, plan.Changes)
	s.plan(7, 30070, plan.Changes)
	want := map[int64][]Clash{
		9: {{With: 8, What: "node port 30080/TCP is Service/web/s8 there"}},
		8: {{With: 9, What: "node port 30080/TCP is Service/web/s9 there"}},
	}
	if diff := cmp.Diff(want, s.Clashes()); diff != "" {
		t.Errorf("clashes (-want +got):\n%s", diff)
	}
	got := s.Tell().Statuses
	if got[0].State != status.Success || !strings.HasPrefix(got[0].Description, "clashes with #8: node port 30080/TCP") {
		t.Errorf("status = %+v, want a success that names #8", got[0])
	}
	if text := s.Tell().Comments[8].Text(); !strings.Contains(text, "clashes with #9") {
		t.Errorf("comment = %q, want #9 named", text)
	}
	if told := s.Tell(); told.Checks[head(8)].Check() != told.Comments[8].Text() {
		t.Errorf("the check shows %q, want what the comment says", told.Checks[head(8)].Check())
	}
	s.Open = s.Open[1:]
	delete(s.Made, head(9))
	if got := s.Clashes(); len(got) > 0 {
		t.Errorf("with #9 closed clashes = %v, want none", got)
	}
}

func TestOfManyClashesTheSameAreTold(t *testing.T) {
	const ports = 3 * mostClashes
	var pulls []status.PullRequest
	for number := int64(1); number <= 2; number++ {
		pulls = append(pulls, pull(number))
	}
	s := stateOf(pulls...)
	for _, pr := range pulls {
		m := Made{Head: pr.Head, Verdict: plan.Changes}
		for i := range int32(ports) {
			m.Claims.Ports = append(m.Claims.Ports, Port{Port: 30000 + i, Protocol: "TCP", Service: federation.ObjectRef{Kind: "Service", Name: fmt.Sprint(pr.Number)}})
		}
		s.Made[pr.Head] = m
	}
	first := s.Clashes()
	if n := len(first[1]); n != mostClashes {
		t.Fatalf("%d clashes are told, want %d", n, mostClashes)
	}
	for range 50 {
		if diff := cmp.Diff(first, s.Clashes()); diff != "" {
			t.Fatalf("others are told the next time (-first +then):\n%s", diff)
		}
	}
}

func TestStrangersCauseFewPosts(t *testing.T) {
	var pulls []status.PullRequest
	for number := range int64(5000) {
		pr := pull(number)
		pr.Fork = true
		pulls = append(pulls, pr)
	}
	own := pull(5000)
	s := stateOf(append(pulls, own)...)
	statuses := s.Tell().Statuses
	if n := len(statuses); n != mostRefused+1 {
		t.Errorf("%d statuses for %d strangers and one of the repository's own, want %d", n, len(pulls), mostRefused+1)
	}
	if !slices.ContainsFunc(statuses, func(c status.Commit) bool { return c.SHA == own.Head }) {
		t.Error("the repository's own has none")
	}
}

func TestTwoWhoseSumIsMoreThanAQuotaLeavesAreToldOfEachOther(t *testing.T) {
	s := stateOf(pull(9), pull(8))
	facts := s.Facts.Clusters["c1"]
	facts.Quotas = []federation.Quota{{Namespace: "web", Hard: map[string]int64{"services": 5}, Used: map[string]int64{"services": 4}}}
	s.Facts.Clusters["c1"] = facts
	s.plan(9, 30009, plan.Changes)
	s.plan(8, 30008, plan.Changes)
	got := s.Clashes()
	if len(got[9]) != 1 || got[9][0].With != 8 || !strings.Contains(got[9][0].What, "services") {
		t.Errorf("clashes = %+v, want #9 to be told of #8 and the services", got)
	}
	facts.Quotas[0].Hard["services"] = 6
	if got := s.Clashes(); len(got) > 0 {
		t.Errorf("with room for both clashes = %v, want none", got)
	}
}

func TestOneHeadOfTwoPullRequestsNamesBoth(t *testing.T) {
	other := pull(8)
	other.Number = 12
	s := stateOf(other, pull(8))
	s.plan(8, 30008, plan.Fails)
	got := s.Tell().Statuses
	if len(got) != 1 || got[0].State != status.Failure || !strings.HasPrefix(got[0].Description, "#8, #12: ") {
		t.Errorf("statuses = %+v, want one failure that names both", got)
	}
	if got := begun(s); len(got) > 0 {
		t.Errorf("begun = %v, want it to be planned once", got)
	}
}

func TestWhatCouldNotBeAskedPassesFailsOrWaits(t *testing.T) {
	for _, test := range []struct {
		unknown Unknown
		after   time.Duration
		want    status.State
	}{
		{Pass, 0, status.Success},
		{Fail, 0, status.Failure},
		{Wait, 14 * time.Minute, status.Pending},
		{Wait, 15 * time.Minute, status.Failure},
	} {
		s := stateOf(pull(9))
		s.Unknown = test.unknown
		s.plan(9, 30009, plan.Unsure)
		s.Now = now.Add(test.after)
		s.plan(9, 30009, plan.Unsure) // made again, it has not been asked since then
		if got := s.Tell().Statuses[0].State; got != test.want {
			t.Errorf("%s after %s = %s, want %s", test.unknown, test.after, got, test.want)
		}
	}
}

// A push that changes nothing of what a plan says leaves the comment on each of many pull
// requests alone.
func TestAnotherBaseAloneIsNoOtherComment(t *testing.T) {
	s := stateOf(pull(9), pull(8))
	comment := func(tip string, port int32) Comment {
		p := planOf(9, port, plan.Changes)
		p.Base = federation.Revision{Ref: "main", SHA: tip}
		s.Made[head(9)] = Of(p, s.Facts, s.Made[head(9)], s.Now)
		return s.Tell().Comments[9]
	}
	first, second, third := comment("1a2b3c4d", 30009), comment("5e6f7a8b", 30009), comment("5e6f7a8b", 30010)
	if first.Text() != second.Text() || first.Digest() != second.Digest() {
		t.Errorf("for another base the comment is another:\n%s\n%s", first.Text(), second.Text())
	}
	if !strings.Contains(first.Text(), "into `main`") || strings.Contains(first.Text(), "1a2b3c4") {
		t.Errorf("the comment names the base's commit:\n%s", first.Text())
	}
	if page := s.Made[head(9)].Page(); !strings.Contains(page, "5e6f7a8") {
		t.Errorf("the page does not name the base's commit:\n%s", page)
	}
	if third.Digest() == second.Digest() {
		t.Error("another plan has the same digest")
	}
	s.plan(8, 30010, plan.Changes) // they clash
	if got := s.Tell().Comments[9]; got.Digest() == third.Digest() || got.Text() == third.Text() {
		t.Error("a clash changes nothing")
	}
}

func TestNothingIsSaidWhereNothingChanges(t *testing.T) {
	s := stateOf(pull(9), pull(8))
	s.Made[head(9)] = Of(&plan.Plan{Base: federation.Revision{SHA: "tip"}, Head: federation.Revision{SHA: head(9)}, Verdict: plan.Same}, s.Facts, Made{}, now)
	if got := s.Tell().Comments; len(got) != 1 || got[9].Text() != "" {
		t.Errorf("comments = %v, want one that says nothing", got)
	}
	if checks := s.Tell().Checks; len(checks) != 1 || !strings.Contains(checks[head(9)].Check(), "fedsync plan") {
		t.Errorf("the checks show %v, want the plan of #9", checks)
	}
}

// Whatever happens in whatever order, a start with the same state decides the same, and in
// the end there is a plan of each.
func TestAllArePlannedWhateverHappens(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := stateOf()
		for n := int64(40); n > 0; n-- {
			if random.IntN(3) > 0 {
				s.Open = append(s.Open, pull(n))
			}
		}
		for step := 0; ; step++ {
			if step > 1000 {
				t.Fatalf("seed %d: not all are planned", seed)
			}
			begin, stop, _ := s.Next()
			for _, h := range stop {
				delete(s.Doing, h)
			}
			for _, pr := range begin {
				s.Doing[pr.Head] = s.Tip
			}
			if len(s.Doing) > AtATime {
				t.Fatalf("seed %d: %d plans at a time", seed, len(s.Doing))
			}
			if len(s.Doing)+len(begin)+len(stop) == 0 {
				break
			}
			for h := range s.Doing {
				if random.IntN(2) == 0 {
					s.Made[h] = Made{Head: h, Tip: s.Doing[h], At: s.Now, Verdict: plan.Changes, Facts: digest(s.Facts, Claims{}), Took: time.Duration(random.IntN(10)) * time.Second}
					delete(s.Doing, h)
				}
			}
			if step < 50 && random.IntN(10) == 0 {
				s.Tip = fmt.Sprint("tip ", step)
			}
			s.Now = s.Now.Add(time.Second)
		}
		for _, pr := range s.Open {
			if s.Made[pr.Head].Tip != s.Tip {
				t.Errorf("seed %d: #%d is planned for %q, want %q", seed, pr.Number, s.Made[pr.Head].Tip, s.Tip)
			}
		}
	}
}
