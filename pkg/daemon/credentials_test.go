package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestCredentialFilesMayComeAfterTheStart(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	late := w.sandbox.Clusters()[0]
	secrets := filepath.Join(t.TempDir(), "run", "secrets") // neither folder exists
	var ca []byte
	var bearer string
	w.cfg.Kubeconfig = w.kubeconfig(func(config *clientcmdapi.Config) {
		context := config.Contexts[late]
		server, user := *config.Clusters[context.Cluster], *config.AuthInfos[context.AuthInfo]
		ca, bearer = server.CertificateAuthorityData, user.Token
		server.CertificateAuthorityData, server.CertificateAuthority = nil, filepath.Join(secrets, "ca.crt")
		if bearer != "" {
			user.Token, user.TokenFile = "", filepath.Join(secrets, "token")
		}
		config.Clusters["late"], config.AuthInfos["late"] = &server, &user
		config.Contexts[late] = &clientcmdapi.Context{Cluster: "late", AuthInfo: "late"}
	})
	d := w.start()
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
	})
	d.await("the missing file is named", func(r *status.Report) string {
		c := clusterOf(r, late)
		if c.Failure != federation.FailureFiles || !strings.Contains(c.Error.String(), "no such file") {
			return "it is " + string(c.Failure) + " " + c.Error.String()
		}
		for _, f := range r.Findings {
			if strings.Contains(f.Message.String()+f.Remedy.String(), "not in the kubeconfig") || strings.Contains(f.Message.String(), "no usable kubeconfig context") {
				return "wrong words: " + f.Message.String()
			}
		}
		return hasFinding("D01", late, "fedsync's log names the file", "create the named file")(r)
	})
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secrets, "ca.crt"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		if err := os.WriteFile(filepath.Join(secrets, "token"), []byte(bearer+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.live(sha)
	w.awaitValue(late, "a", "1")
}

func TestAPluginThatHangsStopsNeitherOtherClustersNorTheEnd(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	all := w.sandbox.Clusters()
	w.cfg.ProbeTimeout = time.Second
	dir := t.TempDir()
	plugin := filepath.Join(dir, "plugin")
	program := func(text string) {
		t.Helper()
		if err := os.WriteFile(plugin+".new", []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(plugin+".new", plugin); err != nil {
			t.Fatal(err)
		}
	}
	const said = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
	program("echo 'Bearer " + said + "' >&2; sleep 600")
	var bearer string
	w.cfg.Kubeconfig = w.kubeconfig(func(config *clientcmdapi.Config) {
		context := config.Contexts[all[0]]
		bearer = config.AuthInfos[context.AuthInfo].Token
		config.AuthInfos["plugin"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
			Command: plugin, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}}
		config.Contexts[all[0]] = &clientcmdapi.Context{Cluster: context.Cluster, AuthInfo: "plugin"}
	})
	if bearer == "" {
		t.Fatal("the sandbox gives no token")
	}
	d := w.start()
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
	})
	for _, cluster := range all[1:] {
		w.awaitValue(cluster, "a", "1")
	}
	d.await("the plugin is named", func(r *status.Report) string {
		c := clusterOf(r, all[0])
		if c.State != federation.ClusterUnknown || !strings.Contains(c.Error.String(), "plugin") || strings.Contains(c.Error.String(), said) {
			return "it is " + string(c.State) + " " + c.Error.String()
		}
		return ""
	})
	began := time.Now()
	d.stop()
	if took := time.Since(began); took > 3*time.Second+2*time.Second {
		t.Errorf("it took %v to end", took)
	}

	program(`echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "` + bearer + `"}}'`)
	d = w.start()
	d.live(sha)
	w.awaitValue(all[0], "a", "1")
}
