// Package config reads what the operator configures: the settings, which no
// repository can change, and the credentials that they name, which are read again
// whenever their files change.
package config
