package daemon

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.uber.org/zap"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Secrets are the texts that must not be shown: all credentials that the settings
// and the kubeconfig lead to, and what the Secrets of a plan hold. It is for
// health.Redact. What cannot be read gives none.
func Secrets(cfg *Config, plan federation.Plan) []string {
	var all secretTexts
	for _, file := range []string{cfg.TokenFile, cfg.SSHKeyFile, cfg.ForgeTokenFile, cfg.WebhookSecretFile} {
		all.file(file)
	}
	all.url(cfg.Repository)
	k, err := newKubeconfig(cfg.Kubeconfig, zap.NewNop())
	if err == nil {
		all.kubeconfig(k.config)
	}
	for _, file := range k.rules.GetLoadingPrecedence() {
		all.fields(file)
	}
	for _, cluster := range plan.Clusters {
		for _, app := range cluster.Apps {
			for _, o := range app.Objects {
				if o.Ref.Kind == "Secret" && o.Ref.Group == "" {
					all.secret(o)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // none is hidden in part by another
	return slices.Compact(all)
}

type secretTexts []string

// add takes a secret as it is and in base64, and each of its lines: an error may
// quote one.
func (s *secretTexts) add(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	*s = append(*s, text, base64.StdEncoding.EncodeToString([]byte(text)), url.QueryEscape(text))
	if lines := strings.Split(text, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
				*s = append(*s, line)
			}
		}
	}
}

func (s *secretTexts) file(name string) {
	if name == "" {
		return
	}
	if data, err := os.ReadFile(name); err == nil {
		s.add(string(data))
	}
}

// url takes the user and password of a URL, also of one that is not valid.
func (s *secretTexts) url(text string) {
	_, rest, ok := strings.Cut(text, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		_, password, _ := strings.Cut(rest[:at], ":")
		s.add(password)
	}
}

func (s *secretTexts) kubeconfig(config *clientcmdapi.Config) {
	for _, user := range config.AuthInfos {
		s.add(user.Token)
		s.add(user.Password)
		s.add(string(user.ClientKeyData))
		s.file(user.TokenFile)
		s.file(user.ClientKey)
		if user.AuthProvider != nil {
			for _, value := range user.AuthProvider.Config {
				s.add(value)
			}
		}
		if user.Exec != nil {
			for _, variable := range user.Exec.Env {
				s.add(variable.Value)
			}
		}
	}
	for _, cluster := range config.Clusters {
		s.url(cluster.Server)
		s.url(cluster.ProxyURL)
	}
}

// secretField finds credentials in a kubeconfig that cannot be read otherwise.
var secretField = regexp.MustCompile(`(?:token|password|client-key-data)["']?\s*:[\s"'\[{]*([^\s"'\]},]+)`)

func (s *secretTexts) fields(file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for _, m := range secretField.FindAllSubmatch(data, -1) {
		s.add(string(m[1]))
	}
}

// secret takes what a Secret of the repository holds.
func (s *secretTexts) secret(o *federation.Object) {
	var content struct {
		Data       map[string]string `json:"data"`
		StringData map[string]string `json:"stringData"`
	}
	if err := json.Unmarshal(o.JSON, &content); err != nil {
		return // it is no Secret that an API server takes
	}
	for _, value := range content.Data {
		*s = append(*s, value)
		if text, err := base64.StdEncoding.DecodeString(value); err == nil {
			s.add(string(text))
		}
	}
	for _, value := range content.StringData {
		s.add(value)
	}
}
