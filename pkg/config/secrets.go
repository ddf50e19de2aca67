package config

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Secrets returns the texts that must not be shown, for untrusted.NewSecrets: all
// credentials in the settings and the kubeconfig, and the content of Secrets in the
// plan and in the repository's files. files may be nil. It is needed because the plan
// lacks Secrets that cannot be rendered or must not be applied. Unreadable files are
// skipped.
func Secrets(cfg *Config, plan federation.Plan, files fs.FS) []string {
	var all secretTexts
	for _, file := range []string{cfg.TokenFile, cfg.SSHKeyFile, cfg.ForgeTokenFile, cfg.GitHubAppKeyFile, cfg.WebhookSecretFile} {
		all.file(file)
	}
	all.url(cfg.Repository)
	k, err := NewKubeconfig(cfg, zap.NewNop())
	if err == nil {
		all.kubeconfig(k.config)
	} else {
		for _, file := range k.rules.GetLoadingPrecedence() {
			all.fields(file)
		}
	}
	all.files(files)
	for _, cluster := range plan.Clusters {
		for _, app := range cluster.Apps {
			for _, o := range app.Objects {
				if o.Ref.Kind == "Secret" && o.Ref.Group == "" {
					all.secret(o)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // so that a secret within another does not hide it in part
	return slices.Compact(all)
}

type secretTexts []string

// add adds a secret unchanged and in base64, and each of its lines, since an
// error may quote one.
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
	if data, err := readFile(name, maxCredentialFile); err == nil {
		s.add(string(data))
	}
}

// url adds the user and password of a URL, even of an invalid one.
func (s *secretTexts) url(text string) {
	_, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	found := []string{password}
	// Forges also accept a token as the user name.
	if strings.HasPrefix(text, "http") && (password == "" || password == "x-oauth-basic") {
		found = append(found, user)
	}
	for _, secret := range found {
		s.add(secret)
		if plain, err := url.PathUnescape(secret); err == nil && plain != secret {
			s.add(plain)
		}
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
			s.arguments(user.Exec.Args)
		}
	}
	for _, cluster := range config.Clusters {
		s.url(cluster.Server)
		s.url(cluster.ProxyURL)
	}
}

// secretFlag matches a flag whose value is a credential.
var secretFlag = regexp.MustCompile(`(?i)^--?[a-z0-9_-]*(?:token|password|secret|key|credential)[a-z0-9_-]*$`)

// arguments adds the credentials in a plugin's arguments.
func (s *secretTexts) arguments(args []string) {
	for i, arg := range args {
		flag, value, given := strings.Cut(arg, "=")
		switch {
		case !secretFlag.MatchString(flag):
		case given:
			s.add(value)
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			s.add(args[i+1])
		}
	}
}

// secretField finds credentials in a kubeconfig that cannot be parsed. It takes a
// quoted value as a whole: a part may be an ordinary word.
var secretField = regexp.MustCompile(`(?:token|password|client-key-data)["']?\s*:[\s\[{]*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s"'\]},]+))`)

func (s *secretTexts) fields(file string) {
	data, err := readFile(file, maxKubeconfig)
	if err != nil {
		return
	}
	for _, m := range secretField.FindAllSubmatch(data, -1) {
		for _, value := range m[1:] {
			s.add(string(value))
		}
	}
}

// secret adds the content of a Secret in the repository.
func (s *secretTexts) secret(o *federation.Object) {
	var content struct {
		Data       map[string]any `json:"data"`
		StringData map[string]any `json:"stringData"`
	}
	if err := json.Unmarshal(o.JSON, &content); err != nil {
		return // not a Secret that an API server accepts
	}
	for _, values := range []map[string]any{content.Data, content.StringData} {
		for _, value := range values {
			if text, ok := value.(string); ok {
				s.value(text)
			}
		}
	}
}

// value adds a value of a Secret unchanged, and decoded if it is base64.
func (s *secretTexts) value(text string) {
	s.add(text)
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil && utf8.Valid(plain) {
		s.add(string(plain))
	}
}
