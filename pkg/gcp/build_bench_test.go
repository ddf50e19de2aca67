package gcp

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkBuild builds 50 Ingresses with a Service each in 13 clusters, when all of it
// is there.
func BenchmarkBuild(b *testing.B) {
	s := newScene(13)
	for i := range 49 {
		name := fmt.Sprintf("app%d", i)
		s.objects["Ingress/"+name] = strings.ReplaceAll(ingressYAML, "name: nginx", "name: "+name)
		s.objects["Service/"+name] = strings.NewReplacer("name: nginx,", "name: "+name+",", "30080", fmt.Sprint(30100+i)).Replace(serviceYAML)
	}
	if _, _, err := s.round(); err != nil {
		b.Fatal(err)
	}
	in, look := s.input(), s.look()
	for b.Loop() {
		Build(in, look)
	}
}
