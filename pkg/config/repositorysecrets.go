package config

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSecretFile limits the files that are searched for Secrets, in bytes: an API
// server accepts objects of 1.5 MiB.
const maxSecretFile = 4 << 20

// files adds the content of Secrets in a repository, and the literals and
// environment files of secretGenerators, even if the rest cannot be rendered. It
// rather adds too much than too little: a file that is not YAML is read line by
// line.
func (s *secretTexts) files(files fs.FS) {
	if files == nil {
		return
	}
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error { // An unreadable file cannot be quoted.
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // The others are still read.
		}
		switch path.Ext(name) {
		case ".yaml", ".yml", ".json", "":
		default:
			return nil
		}
		if info, err := entry.Info(); err != nil || info.Size() > maxSecretFile {
			return nil //nolint:nilerr // Likewise.
		}
		if data, err := fs.ReadFile(files, name); err == nil && strings.Contains(strings.ToLower(string(data)), "secret") {
			s.manifests(files, path.Dir(name), data)
		}
		return nil
	})
}

// manifests adds the secrets in the documents of a file in dir.
func (s *secretTexts) manifests(files fs.FS, dir string, data []byte) {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.rest(string(data))
			return
		}
		s.node(files, dir, &root)
	}
}

// node finds Secrets and their generators anywhere: in a List, or as text in a
// patch.
func (s *secretTexts) node(files fs.FS, dir string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "Secret") && strings.Contains(n.Value, "\n") {
		s.manifests(files, dir, []byte(n.Value))
		return
	}
	isSecret := false
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		isSecret = isSecret || n.Content[i].Value == "kind" && n.Content[i+1].Value == "Secret"
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 0 {
			s.node(files, dir, child)
			continue
		}
		switch key := n.Content[i-1].Value; {
		case key == "data" && isSecret, key == "stringData":
			s.values(child)
		case key == "secretGenerator":
			s.generators(files, dir, child)
		default:
			s.node(files, dir, child)
		}
	}
}

// values adds every scalar at and below a node, except keys.
func (s *secretTexts) values(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		s.value(n.Value)
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			s.add(n.Tag[1:]) // "!word" is an unquoted password
		}
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			s.values(child)
		}
	}
}

func (s *secretTexts) generators(files fs.FS, dir string, list *yaml.Node) {
	for _, generator := range list.Content {
		for i := 0; generator.Kind == yaml.MappingNode && i+1 < len(generator.Content); i += 2 {
			key, value := generator.Content[i].Value, generator.Content[i+1]
			entries := value.Content
			if value.Kind == yaml.ScalarNode {
				entries = []*yaml.Node{value}
			}
			for _, entry := range entries {
				switch key {
				case "literals":
					s.pair(entry.Value)
				case "env", "envs":
					if data, err := fs.ReadFile(files, path.Join(dir, entry.Value)); err == nil {
						for line := range strings.Lines(string(data)) {
							s.pair(line)
						}
					}
				case "files":
					_, name, keyed := strings.Cut(entry.Value, "=")
					if !keyed {
						name = entry.Value
					}
					if data, err := fs.ReadFile(files, path.Join(dir, name)); err == nil {
						s.add(string(data))
					}
				}
			}
		}
	}
}

// pair adds the value of "key=value", or the whole text if there is no key.
func (s *secretTexts) pair(text string) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		value = key
	}
	s.add(strings.Trim(value, "'\""))
}

// rest adds what follows colons in a text that is not YAML, except for fields that
// every object has.
func (s *secretTexts) rest(text string) {
	for document := range strings.SplitSeq(text, "\n---") {
		if !strings.Contains(document, "Secret") && !strings.Contains(document, "secretGenerator") {
			continue
		}
		for line := range strings.Lines(document) {
			key, value, _ := strings.Cut(line, ":")
			switch strings.Trim(key, " \t-'\"{") {
			case "apiVersion", "kind", "metadata", "name", "namespace", "type":
				continue
			}
			_, literal, _ := strings.Cut(line, "=")
			for _, found := range []string{value, literal} {
				s.add(strings.Trim(found, " \t\r\n'\"{}[],"))
			}
		}
	}
}
