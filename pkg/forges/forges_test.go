package forges_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/forges"
)

func TestEveryRowIsComplete(t *testing.T) {
	hosts := map[string]string{}
	for _, f := range forges.All() {
		if f.Name == "" || f.Title == "" || f.Rights == "" || f.New == nil || f.Webhook == "" {
			t.Errorf("%+v lacks something", f)
		}
		if len(f.Hosts) == 0 && !f.TakesURL {
			t.Errorf("%s has no address", f.Name)
		}
		for _, host := range f.Hosts {
			if hosts[host] != "" {
				t.Errorf("%s is of %s and of %s", host, f.Name, hosts[host])
			}
			hosts[host] = f.Name
		}
	}
	if names := forges.Names(); !slices.IsSorted(names) || len(slices.Compact(names)) != len(forges.All()) {
		t.Errorf("the names are %v, want them sorted, each once", names)
	}
}

func TestFindKnowsPublicServers(t *testing.T) {
	tests := []struct{ repository, url, want string }{
		{"https://codeberg.org/team/web.git", "", "gitea"},
		{"https://user@CODEBERG.org/team/web.git", "", "gitea"},
		{"git@codeberg.org:team/web.git", "", "gitea"},
		{"ssh://git@gitea.com:2222/team/web", "", "gitea"},
		{"https://mirror.example/team/web", "https://gitea.com", "gitea"},
		{"https://contoso@dev.azure.com/contoso/shop/_git/web", "", "azure"},
		{"git@ssh.dev.azure.com:v3/contoso/shop/web", "", "azure"},
		{"git@bitbucket.org:team/web.git", "", "bitbucket"},
		{"https://gitlab.com/group/sub/web.git", "", "gitlab"},
		{"https://git.example/team/web", "", ""},
		{"https://codeberg.org.example/team/web", "", ""},
		{"/srv/codeberg.org/web", "", ""},
		{".", "", ""},
		{"https://codeberg.org/team/web.git", "https://git.example", ""},
	}
	for _, tt := range tests {
		f, err := forges.Find(forges.Auto, forges.Config{Repository: tt.repository, URL: tt.url})
		if f.Name != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("Find(%s, %s) = %q, %v, want %q", tt.repository, tt.url, f.Name, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "set --commit-status to ") {
			t.Errorf("Find(%s) = %v, want the setting to use", tt.repository, err)
		}
	}
	if _, err := forges.Find("pigeon", forges.Config{}); err == nil {
		t.Error("Find found a forge that is not there")
	}
}

func TestAddress(t *testing.T) {
	const twoParts, anyParts = 2, 0
	tests := []struct {
		config forges.Config
		parts  int
		want   string // base and name, or the beginning of an error
	}{
		{forges.Config{Repository: "https://git.example/team/web.git"}, twoParts, "https://git.example team/web"},
		{forges.Config{Repository: "https://u:secret@git.example:3000/team/web/"}, twoParts, "https://git.example:3000 team/web"},
		{forges.Config{Repository: "https://git.example/git/forge/team/web"}, twoParts, "https://git.example/git/forge team/web"},
		{forges.Config{Repository: "https://git.example/group/sub/web.git"}, anyParts, "https://git.example group/sub/web"},
		{forges.Config{Repository: "https://git.example/lab/group/sub/web.git", URL: "https://git.example/lab/"}, anyParts, "https://git.example/lab group/sub/web"},
		{forges.Config{Repository: "git@git.example:team/web.git", URL: "https://git.example/forge"}, twoParts, "https://git.example/forge team/web"},
		{forges.Config{Repository: "ssh://git@git.example:2222/team/web.git", URL: "http://127.0.0.1:3000"}, twoParts, "http://127.0.0.1:3000 team/web"},
		{forges.Config{Repository: "git@codeberg.org:team/web.git"}, twoParts, "https://codeberg.org team/web"},
		{forges.Config{Repository: "ssh://git@codeberg.org/team/web.git"}, twoParts, "https://codeberg.org team/web"},
		{forges.Config{Repository: "https://git.example/mirror/copy.git", Name: "team/web"}, twoParts, "https://git.example team/web"},
		{forges.Config{Repository: "https://git.example/forge/mirror/copy.git", Name: "team/web"}, twoParts, "https://git.example/forge team/web"},
		{forges.Config{Repository: "https://git.example/team/web", Name: "team/sub/web"}, twoParts, "error: team/sub/web is not"},
		{forges.Config{Repository: "/srv/git/web.git", URL: "https://git.example", Name: "team/web"}, twoParts, "https://git.example team/web"},
		{forges.Config{Repository: "/srv/git/web.git", URL: "https://git.example"}, twoParts, "error: the end of the URL is not"},
		{forges.Config{Repository: "git@git.example:team/web.git"}, twoParts, "error: the repository's URL does not contain"},
		{forges.Config{Repository: "/srv/git/web.git", Name: "team/web"}, twoParts, "error: the repository's URL does not contain"},
		{forges.Config{Repository: "https://git.example/web"}, twoParts, "error: web is not the repository's full name"},
		{forges.Config{Repository: "https://git.example/team/web", Name: "web"}, twoParts, "error: web is not the repository's full name"},
		{forges.Config{Repository: "https://git.example/team/web", URL: "ftp://git.example"}, twoParts, "error: the forge's address must be like"},
	}
	for _, tt := range tests {
		at, err := tt.config.Address(tt.parts)
		got := at.Base + " " + strings.Join(at.Name, "/")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tt.want && (!strings.HasPrefix(tt.want, "error") || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%+v.Address(%d) = %q, want %q", tt.config, tt.parts, got, tt.want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%+v.Address(%d) = %q, which has a password", tt.config, tt.parts, got)
		}
	}
}

func TestProvidersAreMadeFromTheSettings(t *testing.T) {
	for _, f := range forges.All() {
		c := forges.Config{Repository: "https://git.example/team/web.git", Token: func() (string, error) { return "t", nil }}
		if len(f.Hosts) > 0 {
			c.Repository = "https://" + f.Hosts[0] + "/team/web.git"
		}
		if f.Name == "azure" { // its names have three parts
			c.Repository = "https://" + f.Hosts[0] + "/contoso/shop/_git/web"
		}
		p, err := f.New(c)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if p.Name() != f.Name {
			t.Errorf("the provider of %s calls itself %s", f.Name, p.Name())
		}
		if _, err := f.New(forges.Config{Repository: "/srv/git/web", Token: c.Token}); err == nil {
			t.Errorf("%s was made for a path, want an error", f.Name)
		}
	}
}

func TestAzuresNames(t *testing.T) {
	token := func() (string, error) { return "t", nil }
	for _, c := range []forges.Config{
		{Repository: "https://contoso@dev.azure.com/contoso/shop/_git/web"},
		{Repository: "https://dev.azure.com/contoso/_git/web"},
		{Repository: "git@ssh.dev.azure.com:v3/contoso/shop/web"},
		{Repository: "https://azure.example/tfs/Collection/shop/_git/web", URL: "https://azure.example/tfs"},
		{Repository: "https://contoso.visualstudio.com/shop/_git/web", URL: "https://dev.azure.com", Name: "contoso/shop/web"},
	} {
		f, err := forges.Find("azure", c)
		if err != nil {
			t.Fatal(err)
		}
		c.Token = token
		if _, err := f.New(c); err != nil {
			t.Errorf("%+v: %v", c.Repository, err)
		}
	}
	f, err := forges.Find("azure", forges.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.New(forges.Config{Repository: "https://dev.azure.com/contoso/web", Token: token})
	if err == nil || !strings.Contains(err.Error(), "--forge-repository, for example to contoso/shop/web") {
		t.Errorf("New for a name of two parts = %v, want the setting to use", err)
	}
}
