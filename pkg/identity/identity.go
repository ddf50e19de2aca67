package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/source"
)

// Of returns the digest of a source, and the digests that earlier versions computed for
// it: those took a local path as it was typed. A folder of the repository is a source
// of its own; the root has the digest that it had before there were folders.
func Of(src *source.Source, ref, federation string) (current string, former []string) {
	digest := func(repository string) string {
		if src.Path() == "" {
			return Digest(repository, ref, federation)
		}
		return Digest(repository, ref, federation, src.Path())
	}
	current = digest(src.Identity())
	for _, repository := range formerSpellings(src) {
		if d := digest(repository); d != current && !slices.Contains(former, d) {
			former = append(former, d)
		}
	}
	return current, former
}

// formerSpellings returns how the path of a local repository may have been typed: as it
// is now, with a trailing slash, or relative to the working directory.
func formerSpellings(src *source.Source) []string {
	path, local := src.LocalPath()
	if !local {
		return nil
	}
	spellings := []string{src.String(), path + string(filepath.Separator)}
	folder, err := os.Getwd()
	if err != nil {
		return spellings
	}
	if relative, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(relative) {
		spellings = append(spellings, relative)
		if relative != "." {
			spellings = append(spellings, "./"+relative)
		}
	}
	return spellings
}

// Digest identifies the parts together. It is short, since it becomes part of names.
func Digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Owner returns this source as inventories name it.
func Owner(src *source.Source, ref, federation string) inventory.Owner {
	current, former := Of(src, ref, federation)
	return inventory.Owner{Federation: federation, Source: current, FormerSources: former}
}
