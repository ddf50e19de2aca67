//go:build tools

// Package gitea pins the forge that the tests and the demo talk to.
package gitea

import _ "code.gitea.io/gitea"
