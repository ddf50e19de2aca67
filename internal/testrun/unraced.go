package main

// computing lists the packages that are tested without the race detector, which takes up
// to ten times the processor time. It would find nothing in them, for the reason given
// here. A test verifies that those with the reason alone start no goroutine.
var computing = map[string]string{
	"internal/canary":        alone,
	"internal/fields":        alone,
	"internal/glob":          alone,
	"internal/growth":        alone,
	"internal/hostile":       "the program that it tests is built without the race detector, as users have it, and held to limits of time and memory",
	"internal/strictyaml":    alone,
	"internal/untrusted":     alone,
	"pkg/apply/agenda":       alone,
	"pkg/apply/inventory":    alone,
	"pkg/apply/object":       alone,
	"pkg/apply/ownership":    alone,
	"pkg/apply/refusal":      alone,
	"pkg/diagnose":           alone,
	"pkg/federation":         alone,
	"pkg/federation/fedfile": alone,
	"pkg/plan":               alone,
	"pkg/roll":               alone,
	"pkg/schedule":           alone,
	"pkg/schedule/ports":     alone,
	"pkg/schedule/replicas":  alone,
	"pkg/source/tree":        alone,
	"pkg/web/page":           alone,
}

const alone = "neither it nor its tests start a goroutine"

// A part names some tests of a package.
type part struct {
	path  string // of the package
	names []string
}

// apart lists the tests that run only without the race detector, in packages whose other
// tests run with it.
var apart = []part{
	// The daemon is a process of its own, whose races nobody would see. The test searches
	// all of its output for secrets, in every encoding.
	{"cmd/fedsync", []string{"TestNoSecretComesOut"}},
	// Here too the daemon is a process of its own. With the race detector it would be
	// killed when it has hardly begun.
	{"pkg/daemon", []string{"TestADaemonKilledAtAnyMomentConverges"}},
	// The same goes for this process: the test measures how long a prober waits in a
	// crowd, and how much memory that takes.
	{"pkg/web", []string{"TestAProberIsAnsweredDespiteACrowdOfAllKinds"}},
	// The test measures what the rendering process may take from other processes.
	{"pkg/daemon", []string{"TestAHostilePushLeavesTheOthersAlone"}},
	// The rendering process uses up its time or its memory, of which the race detector
	// takes much more; or one goroutine reads the messages of a process.
	{"pkg/render/worker", []string{
		"TestABuildIsStoppedWhenItTakesTooMuchMemory", "TestARevisionHasATimeLimitInTotal",
		"TestManySlowBuildsLeaveTimeForTheOthers",
		"TestManyObjectsAndMistakesCrossThePipe", "TestMessagesOfAProcessAreBounded",
	}},
	// The renderer is compared with kustomize, in one goroutine.
	{"pkg/render/kustomize", []string{"TestBuildEqualsKustomizeByteForByte", "TestRandomOverlaysEqualKustomize"}},
	// These explore a model, in one goroutine.
	{"pkg/claim", []string{"TestRandomLivesEndWithOneWriter", "TestTwoStartsEndWithOneWriterWhateverTheOrder"}},
	{"pkg/gcp/balancer", []string{"TestBuildNeverTakesTheSiteDown"}},
	{"pkg/gcp/planner", []string{"TestPlansNeverBreakWhatServes", "TestWhatIsBuiltAndPlannedNeverStopsTraffic"}},
	// Merges are compared with those of Git, in one goroutine; and memory is measured, of
	// which the race detector takes a share.
	{"pkg/source", []string{"TestProposalsMergeAsGitDoes", "TestAFileThatUnpacksToALotCostsNoMemory"}},
}

// twice lists the tests of random histories that run with and without the race detector,
// and with fewer histories with it (see internal/raced).
var twice = []part{
	{"pkg/apply", []string{"TestAnyHistoryConverges"}},
	{"pkg/daemon", []string{"TestARestartChangesNothing"}},
}
