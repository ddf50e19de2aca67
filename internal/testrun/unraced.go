package main

// computing are packages that are tested without the race detector, which takes up to
// ten times the processor: there is nothing for it to find, for the reason that stands
// here. A test holds those that start no goroutine to it.
var computing = map[string]string{
	"internal/canary":     alone,
	"internal/fields":     alone,
	"internal/glob":       alone,
	"internal/growth":     alone,
	"internal/hostile":    "the program that it tries is built without, as users have it, and held to what that may take",
	"internal/strictyaml": alone,
	"internal/untrusted":  alone,
	"pkg/apply/inventory": alone,
	"pkg/apply/ownership": alone,
	"pkg/diagnose":        alone,
	"pkg/federation":      alone,
	"pkg/plan":            alone,
	"pkg/schedule":        alone,
}

const alone = "neither it nor its tests start a goroutine"

// heavy are tests that run without the race detector, in packages of which the others
// run with it.
var heavy = map[string][]string{
	// The daemon is a process of its own, whose races nobody would see: all it prints is
	// searched for secrets, in all ways of writing.
	"cmd/fedsync": {"TestNoSecretComesOut"},
	// Kustomize builds what the renderer is compared with, in one goroutine.
	"pkg/render": {"TestBuildEqualsKustomizeByteForByte", "TestRandomOverlaysEqualKustomize"},
}
