package render_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestAMergePatchThatMayLosePortsIsReported(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [PORTS]}\n"
	const pod = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: c, image: i, ports: [PORTS]}]}}}\n"
	const both = "{name: a, port: 443, protocol: TCP}, {name: b, port: 443, protocol: UDP}"
	const bothInPod = "{name: a, containerPort: 443}, {name: b, containerPort: 443, protocol: UDP}"
	patch := func(object, ports, target string) string {
		lines := strings.Split(strings.TrimSpace(strings.Replace(object, "PORTS", ports, 1)), "\n")
		return "- patch: |\n    " + strings.Join(lines, "\n    ") + "\n" + target
	}
	for name, c := range map[string]struct {
		base, patches string
		told          string
	}{
		"other fields":            {strings.Replace(service, "PORTS", both, 1), "- patch: |\n    apiVersion: v1\n    kind: Service\n    metadata: {name: web, labels: {a: b}}\n", ""},
		"numbers that differ":     {strings.Replace(service, "PORTS", "{name: a, port: 80}", 1), patch(service, "{name: b, port: 81}", ""), ""},
		"twice in the base":       {strings.Replace(service, "PORTS", both, 1), patch(service, "{port: 443, nodePort: 30443}", ""), "spec.ports"},
		"twice in the patch":      {strings.Replace(service, "PORTS", "{name: c, port: 80}", 1), patch(service, both, ""), "spec.ports"},
		"by a target":             {strings.Replace(service, "PORTS", both, 1), patch(strings.Replace(service, "web", "any", 1), "{port: 443, nodePort: 30443}", "  target: {kind: Service}\n"), "spec.ports"},
		"a target of other names": {strings.Replace(service, "PORTS", both, 1), patch(service, "{port: 443, nodePort: 30443}", "  target: {name: other}\n"), ""},
		"the list whole":          {strings.Replace(service, "PORTS", both, 1), patch(service, "{$patch: replace}, {port: 443, nodePort: 30443}", ""), ""},
		"containers":              {strings.Replace(pod, "PORTS", bothInPod, 1), patch(pod, "{containerPort: 443, hostPort: 443}", ""), "ports of container c"},
	} {
		t.Run(name, func(t *testing.T) {
			files := laidOut()
			files["apps/app/base/config.yaml"] = &fstest.MapFile{Data: []byte(c.base)}
			files["apps/app/clusters/asia/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [../../base]\npatches:\n" + c.patches)}
			_, findings := renderedFiles(t, files)
			if got := told(findings, federation.SeverityWarning, "asia/kustomization.yaml", "may be lost"); got != (c.told != "") || got && !told(findings, federation.SeverityWarning, "asia", c.told) {
				t.Errorf("told: %v", findings)
			}
		})
	}
}

func TestFieldsThatKustomizeDeprecatesAreReportedOnce(t *testing.T) {
	files := laidOut()
	for _, cluster := range []string{"asia", "europe"} {
		files["apps/app/clusters/"+cluster+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte("# first\nbases: [../../base]\ncommonLabels: {a: b}\n")}
	}
	_, findings := renderedFiles(t, files)
	if len(findings) != 2 {
		t.Fatalf("got %d notes, want 2: %v", len(findings), findings)
	}
	for i, want := range []string{"bases deprecated, here as the first of 2 files", "commonLabels deprecated, here as the first of 2 files"} {
		f := findings[i]
		if f.Severity != federation.SeverityNote || f.Line != i+2 || !strings.HasSuffix(f.File, "asia/kustomization.yaml") || !strings.Contains(f.Message.String(), want) {
			t.Errorf("got %v at line %d, want %q at line %d", f, f.Line, want, i+2)
		}
	}
}
