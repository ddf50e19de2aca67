//go:build unix

package execplugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientauthenticationv1beta1 "k8s.io/client-go/pkg/apis/clientauthentication/v1beta1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// The maximum that is retained of a plugin's output.
const (
	maxPluginOutput = 1 << 20
	maxPluginError  = 4 << 10
)

// command is how a plugin is called.
type command struct {
	name    string // for users
	path    string
	args    []string
	env     []string // in addition to our own
	version string   // of the plugin's API
	hint    string   // how to install it
	secrets []string // what its messages must not show
}

// newCommand reads how to call a plugin. It never uses a shell.
func newCommand(cfg *rest.Config) (command, error) {
	config := cfg.ExecProvider
	c := command{
		name: filepath.Base(config.Command), path: filepath.Clean(config.Command), args: config.Args,
		version: config.APIVersion, hint: config.InstallHint, secrets: secretsOf(config),
	}
	versions := []string{clientauthenticationv1.SchemeGroupVersion.String(), clientauthenticationv1beta1.SchemeGroupVersion.String()}
	if !slices.Contains(versions, c.version) {
		return command{}, fmt.Errorf("credentials plugin %s: apiVersion %q is not supported; want %s", c.name, c.version, strings.Join(versions, " or "))
	}
	if config.InteractiveMode == api.AlwaysExecInteractiveMode {
		return command{}, fmt.Errorf("credentials plugin %s: interactiveMode is Always, but fedsync has no terminal; "+
			"use IfAvailable, Never, or another kind of credentials", c.name)
	}
	info, err := execInfo(cfg)
	if err != nil {
		return command{}, fmt.Errorf("credentials plugin %s: %w", c.name, err)
	}
	for _, v := range config.Env {
		c.env = append(c.env, v.Name+"="+v.Value)
	}
	c.env = append(c.env, "KUBERNETES_EXEC_INFO="+info)
	return c, nil
}

// execInfo returns what a plugin is told about the cluster. Both versions of the API
// have the same fields.
func execInfo(cfg *rest.Config) (string, error) {
	request := clientauthenticationv1.ExecCredential{
		TypeMeta: metav1.TypeMeta{Kind: "ExecCredential", APIVersion: cfg.ExecProvider.APIVersion},
	}
	if cfg.ExecProvider.ProvideClusterInfo {
		cluster, err := rest.ConfigToExecCluster(cfg)
		if err != nil {
			return "", err
		}
		its := &clientauthenticationv1.Cluster{
			Server:                   cluster.Server,
			TLSServerName:            cluster.TLSServerName,
			InsecureSkipTLSVerify:    cluster.InsecureSkipTLSVerify,
			CertificateAuthorityData: cluster.CertificateAuthorityData,
			ProxyURL:                 cluster.ProxyURL,
			DisableCompression:       cluster.DisableCompression,
		}
		if cluster.Config != nil {
			raw, err := json.Marshal(cluster.Config)
			if err != nil {
				return "", fmt.Errorf("encode its configuration: %w", err)
			}
			its.Config = runtime.RawExtension{Raw: raw}
		}
		request.Spec.Cluster = its
	}
	info, err := json.Marshal(request)
	return string(info), err
}

// run calls the plugin, and returns its credentials and its standard error.
func (c command) run(ctx context.Context) (*credentials, string, error) {
	var stdout, stderr limited
	stdout.limit, stderr.limit = maxPluginOutput, maxPluginError
	cmd := exec.CommandContext(ctx, c.path, c.args...) //nolint:gosec // The operator's kubeconfig names the program.
	cmd.Env = append(cmd.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A plugin may start other programs: all of them end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for a child that took the output into another process group
	err := cmd.Run()
	if err != nil {
		return nil, "", c.failed(ctx, err, stderr.String())
	}
	if stdout.more {
		return nil, "", fmt.Errorf("it wrote more than %d bytes", maxPluginOutput)
	}
	creds, err := c.parse(stdout.Bytes())
	if err != nil {
		return nil, "", c.words(err.Error(), stderr.String())
	}
	return creds, c.clean(stderr.String(), creds.token), nil
}

// failed returns why a run failed.
func (c command) failed(ctx context.Context, err error, said string) error {
	var (
		exit    *exec.ExitError
		missing *exec.Error
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return c.words(fmt.Sprintf("it did not answer within %v and was killed", pluginTimeout), said)
	case ctx.Err() != nil:
		return errors.New("it was killed because fedsync is stopping")
	case errors.As(err, &missing):
		return c.words("it is not installed: "+missing.Err.Error(), c.hint)
	case errors.As(err, &exit):
		return c.words("it failed with "+exit.String(), said)
	}
	return c.words(err.Error(), said)
}

// opaque matches what looks like a credential: a long word that is in no language.
var opaque = regexp.MustCompile(`[A-Za-z0-9_+=-]{24,}`)

// words returns an error with the plugin's message, cleaned.
func (c command) words(reason, said string) error {
	text := reason
	if said = strings.TrimSpace(said); said != "" {
		text += ": " + c.clean(said)
	}
	return errors.New(c.clean(text))
}

// clean returns a plugin's message as one line, without secrets and possible secrets.
func (c command) clean(said string, more ...string) string {
	known := untrusted.NewSecrets(append(more, c.secrets...)...)
	return untrusted.Line(opaque.ReplaceAllString(known.Line(said), "***"))
}

// parse reads a plugin's answer.
func (c command) parse(output []byte) (*credentials, error) {
	var answer clientauthenticationv1.ExecCredential
	if err := json.Unmarshal(output, &answer); err != nil {
		return nil, errors.New("its answer is not JSON") // the decoder's error may quote it
	}
	status := answer.Status
	switch {
	case answer.Kind != "ExecCredential" || answer.APIVersion != c.version:
		return nil, fmt.Errorf("it answered with a %s of %s; want an ExecCredential of %s", answer.Kind, answer.APIVersion, c.version)
	case status == nil, status.Token == "" && status.ClientCertificateData == "" && status.ClientKeyData == "":
		return nil, errors.New("its answer has neither a token nor a certificate")
	case (status.ClientCertificateData == "") != (status.ClientKeyData == ""):
		return nil, errors.New("its answer has a certificate or a key, but not both")
	}
	creds := &credentials{token: status.Token}
	if status.ExpirationTimestamp != nil {
		creds.expires = status.ExpirationTimestamp.Time
	}
	if status.ClientCertificateData != "" {
		cert, err := tls.X509KeyPair([]byte(status.ClientCertificateData), []byte(status.ClientKeyData))
		if err != nil {
			return nil, fmt.Errorf("its certificate and key cannot be used: %w", err)
		}
		creds.cert = &cert
	}
	return creds, nil
}

// limited retains the beginning of what is written to it.
type limited struct {
	bytes.Buffer

	limit int
	more  bool // there was more
}

// Write implements io.Writer. It accepts everything, so that a writer is neither
// blocked nor killed by a pipe without a reader.
func (l *limited) Write(p []byte) (int, error) {
	room := max(0, l.limit-l.Len())
	if len(p) > room {
		l.more = true
	}
	l.Buffer.Write(p[:min(room, len(p))])
	return len(p), nil
}

// ReadFrom applies the limit when the bytes are copied directly.
func (l *limited) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{l}, r)
}
