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

// The most that is read of a file. A thousand clusters with their certificates are
// about 5 MB.
const (
	maxKubeconfig     = 64 << 20
	maxCredentialFile = 1 << 20
)

// credentialFileError is about a file that a kubeconfig names. Its text holds
// nothing of what is in the file.
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
	errNotRegular = errors.New("it is no regular file")
)

// checkFile reports why a file cannot be read whole; nil if it can.
func checkFile(file string, limit int64) error {
	i, err := os.Stat(file)
	switch {
	case err != nil:
		return reasonOf(err)
	case !i.Mode().IsRegular(): // a pipe would be waited for
		return errNotRegular
	case i.Size() > limit:
		return fmt.Errorf("it has more than %d bytes", limit)
	}
	return nil
}

// reasonOf leaves the path out of an error, which the caller names.
func reasonOf(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// readFile reads a file that is not larger than the limit.
func readFile(file string, limit int64) ([]byte, error) {
	if err := checkFile(file, limit); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, reasonOf(err)
	}
	defer f.Close() //nolint:errcheck // It was only read.
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, reasonOf(err)
	case int64(len(data)) > limit: // it grew
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errEmptyFile // half-written, mostly
	}
	return data, nil
}

// credentialFile is a file that a kubeconfig names.
type credentialFile struct {
	what, file string
	set        func([]byte) // puts its content into the kubeconfig, in its place
}

// credentialFiles returns the files that decide how a cluster is reached: what
// stands in the kubeconfig itself wins over a file, but for a token, of which the
// file is the newer one. The arguments may be nil.
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
// the files it names in their place. So a session has the credentials that its
// digest was made of, and what a file lacks is said with its name.
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

// namedFiles returns every file that a kubeconfig names, once, sorted.
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

// contentOf is a digest of the content of kubeconfigs and of the files that they
// name.
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
