package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/pkg/member"
)

// The limits on files, in bytes. A thousand clusters with their certificates take
// about 5 MB.
const (
	maxKubeconfig     = 64 << 20
	maxCredentialFile = 1 << 20
)

// credentialFileError is an error with a file that a kubeconfig names. Its text
// holds none of the file's content.
type credentialFileError struct {
	Context string
	What    string // "token file"
	File    string
	Err     error
}

// Error implements error.
func (e *credentialFileError) Error() string {
	return fmt.Sprintf("%s %s of context %q: %v", e.What, e.File, e.Context, e.Err)
}

// Unwrap returns the reason.
func (e *credentialFileError) Unwrap() error { return e.Err }

var (
	errEmptyFile  = errors.New("it is empty")
	errNotRegular = errors.New("it is not a regular file")
)

// checkFile returns an error if a file cannot be read as a whole.
func checkFile(file string, limit int64) error {
	i, err := os.Stat(file)
	switch {
	case err != nil:
		return reasonOf(err)
	case !i.Mode().IsRegular(): // reading a pipe would block
		return errNotRegular
	case i.Size() > limit:
		return fmt.Errorf("it has more than %d bytes", limit)
	}
	return nil
}

// reasonOf returns an error without its path, which the caller names.
func reasonOf(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// readFile reads a file that does not exceed the limit.
func readFile(file string, limit int64) ([]byte, error) {
	if err := checkFile(file, limit); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, reasonOf(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, reasonOf(err)
	case int64(len(data)) > limit: // it has grown
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errEmptyFile // probably half-written
	}
	return data, nil
}

// credentialFile is a file that a kubeconfig names.
type credentialFile struct {
	what, file string
	set        func([]byte) // puts the file's content into the kubeconfig
}

// credentialFiles returns the files that decide how a cluster is reached. A value
// in the kubeconfig itself takes precedence over a file, except for a token,
// where the file is newer. The arguments may be nil.
func credentialFiles(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) []credentialFile {
	var all []credentialFile
	add := func(what string, file *string, inline *[]byte) {
		name := *file
		if name == "" || len(*inline) > 0 {
			return
		}
		all = append(all, credentialFile{what, name, func(data []byte) { *inline, *file = data, "" }})
	}
	if cluster != nil {
		add("certificate authority", &cluster.CertificateAuthority, &cluster.CertificateAuthorityData)
	}
	if user != nil {
		add("client certificate", &user.ClientCertificate, &user.ClientCertificateData)
		add("client key", &user.ClientKey, &user.ClientKeyData)
		if user.TokenFile != "" {
			all = append(all, credentialFile{"token file", user.TokenFile, func(data []byte) {
				user.Token, user.TokenFile = strings.TrimSpace(string(data)), ""
			}})
		}
	}
	return all
}

// inlined returns the part of a kubeconfig that a context uses, with the content of
// files in place of their names. So a session uses the credentials that its digest
// was computed from, and errors name the file.
func inlined(config *clientcmdapi.Config, name string, context *clientcmdapi.Context) (*clientcmdapi.Config, error) {
	part := clientcmdapi.NewConfig()
	part.CurrentContext = name
	part.Contexts[name] = context.DeepCopy()
	if c := config.Clusters[context.Cluster]; c != nil {
		part.Clusters[context.Cluster] = c.DeepCopy()
	}
	if u := config.AuthInfos[context.AuthInfo]; u != nil {
		part.AuthInfos[context.AuthInfo] = u.DeepCopy()
	}
	for _, f := range credentialFiles(part.Clusters[context.Cluster], part.AuthInfos[context.AuthInfo]) {
		data, err := readFile(f.file, maxCredentialFile)
		if err != nil {
			return nil, &member.FileError{Err: &credentialFileError{Context: name, What: f.what, File: f.file, Err: err}}
		}
		f.set(data)
	}
	return part, nil
}

// namedFiles returns every file that a kubeconfig names, sorted and without
// duplicates.
func namedFiles(config *clientcmdapi.Config) []string {
	if config == nil {
		return nil
	}
	var all []string
	for _, c := range config.Clusters {
		for _, f := range credentialFiles(c, nil) {
			all = append(all, f.file)
		}
	}
	for _, u := range config.AuthInfos {
		for _, f := range credentialFiles(nil, u) {
			all = append(all, f.file)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// contentOf returns a digest of the content of kubeconfigs and of the files that
// they name.
func contentOf(config *clientcmdapi.Config, kubeconfigs []string) string {
	var parts []any
	add := func(file string, limit int64) {
		data, err := readFile(file, limit)
		if err != nil {
			parts = append(parts, file, err.Error())
			return
		}
		parts = append(parts, file, data)
	}
	for _, file := range kubeconfigs {
		add(file, maxKubeconfig)
	}
	for _, file := range namedFiles(config) {
		add(file, maxCredentialFile)
	}
	digest, err := digestOf(parts...)
	if err != nil {
		return err.Error() // bytes and strings can always be encoded
	}
	return digest
}
