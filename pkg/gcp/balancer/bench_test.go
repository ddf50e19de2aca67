package balancer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// BenchmarkBuild builds 50 Ingresses with a Service each in 13 clusters, when everything
// already exists.
func BenchmarkBuild(b *testing.B) {
	s := gcptest.NewScene(13)
	for i := range 49 {
		name := fmt.Sprintf("app%d", i)
		s.Objects["Ingress/"+name] = strings.ReplaceAll(gcptest.IngressYAML, "name: nginx", "name: "+name)
		s.Objects["Service/"+name] = strings.NewReplacer("name: nginx,", "name: "+name+",", "30080", fmt.Sprint(30100+i)).Replace(gcptest.ServiceYAML)
	}
	if _, _, err := s.Round(); err != nil {
		b.Fatal(err)
	}
	in, look := s.Input(), s.Observe()
	for b.Loop() {
		balancer.Build(in, look)
	}
}
