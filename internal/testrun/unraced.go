package main

// computing are packages that are tested without the race detector, which takes up to
// ten times the processor: there is nothing for it to find, for the reason that stands
// here. A test holds those that start no goroutine to it.
var computing = map[string]string{
	"internal/canary":        alone,
	"internal/fields":        alone,
	"internal/glob":          alone,
	"internal/growth":        alone,
	"internal/hostile":       "the program that it tries is built without, as users have it, and held to what that may take",
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

// A part is some tests of a package, by name.
type part struct {
	path  string // of the package
	names []string
}

// apart are tests that run without the race detector only, in packages of which the
// others run with it.
var apart = []part{
	// The daemon is a process of its own, whose races nobody would see: all that it
	// prints is searched for secrets, in all ways of writing.
	{"cmd/fedsync", []string{"TestNoSecretComesOut"}},
	// Here too it is one whose races nobody would see. With the race detector it would be
	// killed when it has hardly begun.
	{"pkg/daemon", []string{"TestADaemonKilledAtAnyMomentConverges"}},
	// So it is here: how long a prober waits beside a crowd, and what memory that costs.
	{"pkg/web", []string{"TestAProberIsAnsweredDespiteACrowdOfAllKinds"}},
	// What is measured is what the process that renders may take from others.
	{"pkg/daemon", []string{"TestAHostilePushLeavesTheOthersAlone"}},
	// The process that renders uses up its time or its memory, of which the race detector
	// takes much more; or one goroutine reads what a process may say.
	{"pkg/render/worker", []string{
		"TestABuildIsStoppedWhenItTakesTooMuchMemory", "TestARevisionHasATimeLimitInTotal",
		"TestManySlowBuildsLeaveTimeForTheOthers",
		"TestManyObjectsAndMistakesCrossThePipe", "TestMessagesOfAProcessAreBounded",
	}},
	// Kustomize builds what the renderer is compared with, in one goroutine.
	{"pkg/render/kustomize", []string{"TestBuildEqualsKustomizeByteForByte", "TestRandomOverlaysEqualKustomize"}},
	// These explore a model, in one goroutine.
	{"pkg/claim", []string{"TestRandomLivesEndWithOneWriter", "TestTwoStartsEndWithOneWriterWhateverTheOrder"}},
	{"pkg/gcp/balancer", []string{"TestBuildNeverTakesTheSiteDown"}},
	{"pkg/gcp/planner", []string{"TestPlansNeverBreakWhatServes", "TestWhatIsBuiltAndPlannedNeverStopsTraffic"}},
	// What Git merges is compared with what is merged here, in one goroutine; and what is
	// measured is memory, of which the race detector takes its own.
	{"pkg/source", []string{"TestProposalsMergeAsGitDoes", "TestAFileThatUnpacksToALotCostsNoMemory"}},
}

// twice are tests of random histories that run in both ways: fewer with the race
// detector (see internal/raced).
var twice = []part{
	{"pkg/apply", []string{"TestAnyHistoryConverges"}},
	{"pkg/daemon", []string{"TestARestartChangesNothing"}},
}
