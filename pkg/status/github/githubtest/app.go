package githubtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// App is a GitHub App that is installed for the repository until Uninstall is called.
type App struct {
	ID   int64
	Slug string
	Key  []byte // the private key, PEM

	public       *rsa.PublicKey
	installation int64
	installed    bool
	may          map[string]string
}

// AddApp creates a GitHub App with permissions such as {"checks": "write"}, and installs
// it.
func (s *Server) AddApp(t testing.TB, slug string, permissions map[string]string) *App {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // It guards nothing, and is made in a tenth of the time.
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &App{
		ID: s.next(), Slug: slug, public: &key.PublicKey, installation: s.next(), installed: true, may: permissions,
		Key: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}
	s.apps[a.ID] = a
	return a
}

// Uninstall removes an App from the repository; its tokens become invalid.
func (s *Server) Uninstall(a *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.installed = false
	s.endTokens(a)
}

// Install installs it again, with other permissions and as another installation.
func (s *Server) Install(a *App, permissions map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endTokens(a)
	a.installed, a.installation, a.may = true, s.next(), permissions
}

func (s *Server) endTokens(a *App) {
	maps.DeleteFunc(s.tokens, func(_ string, c *caller) bool { return c.app == a })
}

// appOf returns the App that signed a token for itself; nil for none.
func (s *Server) appOf(token string) *caller {
	var claims jwt.RegisteredClaims
	var app *App
	parsed, err := jwt.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		id, err := strconv.ParseInt(claims.Issuer, 10, 64)
		if err != nil || s.apps[id] == nil || t.Method != jwt.SigningMethodRS256 {
			return nil, fmt.Errorf("no App %q", claims.Issuer)
		}
		app = s.apps[id]
		return app.public, nil
	})
	if err != nil || !parsed.Valid || claims.ExpiresAt == nil || claims.ExpiresAt.After(time.Now().Add(10*time.Minute)) {
		return nil
	}
	return &caller{app: app, jwt: true}
}

func (s *Server) getInstallation(q *request) {
	if !q.by.jwt {
		q.refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	if !q.by.app.installed {
		q.refuse(http.StatusNotFound, "Not Found")
		return
	}
	write(q.w, http.StatusOK, object{"id": q.by.app.installation, "app_id": q.by.app.ID, "permissions": q.by.app.may})
}

func (s *Server) getApp(q *request) {
	if !q.by.jwt {
		q.refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	write(q.w, http.StatusOK, object{"id": q.by.app.ID, "slug": q.by.app.Slug, "permissions": q.by.app.may})
}

func (s *Server) postToken(q *request) {
	a := q.by.app
	if !q.by.jwt {
		q.refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	if !a.installed || q.PathValue("id") != strconv.FormatInt(a.installation, 10) {
		q.refuse(http.StatusNotFound, "Not Found")
		return
	}
	token := fmt.Sprintf("ghs_%s%d", rand.Text(), s.next())
	s.tokens[token] = &caller{login: a.Slug + "[bot]", id: accountNumber(a.Slug), app: a, may: a.may}
	write(q.w, http.StatusCreated, object{"token": token, "expires_at": time.Now().Add(time.Hour), "permissions": a.may})
}
