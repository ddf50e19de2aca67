// Package config has what the operator says: the settings, which no repository can
// change, and the credentials that they name, read anew whenever their files change.
package config
