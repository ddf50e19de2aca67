package kustomize

import (
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// One of the first builds merges, for which kustomize loads the schema, while others read
// the scope of a kind. Without loadSchema, the race detector reports a race.
func TestTheSchemaIsLoadedBeforeTheFirstBuilds(t *testing.T) {
	openapi.ResetOpenAPI() // as in a process that has built nothing yet
	defer opened(t.Context(), nil).Close()
	var (
		merged  atomic.Bool
		running sync.WaitGroup
	)
	const others = 4
	asking := make(chan struct{}, others)
	for range others {
		running.Go(func() {
			for !merged.Load() {
				if _, known := openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: "example.com/v1", Kind: "Thing"}); known {
					t.Error("the scope of an undefined kind is known")
				}
				select {
				case asking <- struct{}{}:
				default:
				}
			}
		})
	}
	<-asking
	if openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}) == nil {
		t.Error("the schema has no Deployments")
	}
	merged.Store(true)
	running.Wait()
}
