package hostile

import (
	"bytes"
	"compress/zlib"
	"os"
	"path/filepath"
)

// writeLoose writes an object as a loose file.
func writeLoose(objects string, id ID, content []byte) error {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	name := id.String()
	dir := filepath.Join(objects, name[:2])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name[2:]), b.Bytes(), 0o600)
}
