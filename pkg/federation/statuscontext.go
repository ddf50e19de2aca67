package federation

import "sigs.k8s.io/yaml"

// DefaultStatusContext is the status context of a federation that asks for none.
// A federation whose name could not be read yet is plain "fedsync".
func DefaultStatusContext(name string) string {
	if name == "" {
		return "fedsync"
	}
	return "fedsync/" + name
}

// StatusContext gives the status context that the content of a fedsync.yaml asks
// for, as far as it can be read: a file with mistakes in it fails its commit under
// the context by which the forge knows it.
func StatusContext(data []byte) string {
	var file struct {
		Metadata struct{ Name string }
		Spec     struct{ CommitStatus struct{ Context string } }
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return DefaultStatusContext("")
	}
	if file.Spec.CommitStatus.Context != "" {
		return file.Spec.CommitStatus.Context
	}
	return DefaultStatusContext(file.Metadata.Name)
}
