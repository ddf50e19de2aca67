package source

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Options state which repository is read, how, and within which limits. A zero
// value means the default named here.
type Options struct {
	// URL is https://HOST/PATH, ssh://[USER@]HOST[:PORT]/PATH, [USER@]HOST:PATH, or
	// a local path (file:///PATH too). http:// is accepted for loopback hosts only.
	// Credentials within a URL are refused: they would end up in process lists and
	// logs. With a TokenFile, a user name in an https URL sets Username.
	URL string
	// Ref is the branch or tag to follow, short or in full ("refs/heads/main").
	// Empty follows the branch that the remote's HEAD names, or, for a local
	// path, its HEAD.
	Ref string

	// Path is the folder to read, slash-separated and relative to the repository's root;
	// empty for all of it. Snapshot.Files has nothing else, though its names stay relative
	// to the repository, and nothing else counts towards Limits.Files. The folder must not
	// be a symbolic link or a submodule.
	Path string

	// TokenFile holds the token or password for https. It is sent with Username
	// or the content of UsernameFile; the default is "git", which forges accept
	// with a token. All files named here are watched, and read again before each
	// use, so that new credentials take effect at once.
	TokenFile    string
	Username     string
	UsernameFile string
	// CAFile holds certificates in PEM form that https trusts in addition to
	// the system's.
	CAFile string
	// SSHKeyFile holds an unencrypted private key, and KnownHostsFile holds
	// host keys as OpenSSH writes them. ssh needs both.
	SSHKeyFile     string
	KnownHostsFile string

	// Interval is the time between polls, 15 s by default, spread by ±10 % so
	// that many daemons do not query one forge at the same moment.
	Interval time.Duration
	// Timeout is how long the remote may take to list its refs, and again to
	// send what is fetched; 60 s by default.
	Timeout time.Duration

	// Secrets collects the credentials that are sent to the remote, and redacts them in
	// its messages. When nil, the Source has a set of its own.
	Secrets *secret.Set

	Limits Limits
	// NonFastForward states what happens when the ref moves to a commit that
	// does not descend from the previous one; Follow by default.
	NonFastForward NonFastForward
	// DeepenLimit is how many commits are read to prove that a moved ref is a
	// fast-forward; 5,000 by default. A move not proved within that limit does
	// not count as a fast-forward.
	DeepenLimit int
	// CacheDir is where fetched packs too large for memory are stored, as
	// unnamed files that vanish with the process; the system's folder for
	// temporary files by default.
	CacheDir string
}

// Limits protect the daemon's memory, time and disk from the content of a
// repository. A zero field means its default.
type Limits struct {
	RepositoryBytes int64 // received in one fetch, compressed; 64 MiB. Unpacked it may be 16 times that
	FileBytes       int64 // of one opened file; 8 MiB
	Files           int64 // in one revision; 50,000
}

// NonFastForward is how a move that is not a fast-forward is handled.
type NonFastForward string

// How a move that is not a fast-forward is handled.
const (
	Follow NonFastForward = "Follow" // accept it, and set Snapshot.Forced
	Refuse NonFastForward = "Refuse" // report a NotFastForwardError, and stay at the previous revision
)

const (
	defaultInterval        = 15 * time.Second
	defaultTimeout         = 60 * time.Second
	defaultDeepenLimit     = 5000
	defaultRepositoryBytes = 64 << 20
	defaultFileBytes       = 8 << 20
	defaultFiles           = 50_000
	defaultUsername        = "git"

	// maxBackoff bounds the time between polls of a repository that cannot be
	// read, unless the interval is longer.
	maxBackoff = 2 * time.Minute
	// inflateFactor is how much larger than RepositoryBytes a fetch may unpack
	// to. Manifests compress to about a fifth, a decompression bomb to a
	// thousandth.
	inflateFactor = 16
)

// withDefaults fills in what was left zero.
func (o Options) withDefaults() Options {
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.DeepenLimit = cmp.Or(o.DeepenLimit, defaultDeepenLimit)
	o.NonFastForward = cmp.Or(o.NonFastForward, Follow)
	if o.Secrets == nil {
		o.Secrets = secret.New()
	}
	o.Limits.RepositoryBytes = cmp.Or(o.Limits.RepositoryBytes, defaultRepositoryBytes)
	o.Limits.FileBytes = cmp.Or(o.Limits.FileBytes, defaultFileBytes)
	o.Limits.Files = cmp.Or(o.Limits.Files, defaultFiles)
	return o
}

// tree returns the options for reading a revision's folders and files.
func (o Options) tree() tree.Options {
	return tree.Options{Folder: o.Path, Files: o.Limits.Files, FileBytes: o.Limits.FileBytes, Secrets: o.Secrets}
}

// takeUser takes the user name from an http URL, unless the options have one. Without a
// token file it may itself be a token, which forges accept in its place.
func (o *Options) takeUser(at location) error {
	if at.scheme != schemeHTTP || at.user == "" {
		return nil
	}
	if o.TokenFile == "" {
		return fmt.Errorf("%w; put a user name there only together with a token file, or set --username", credentialsInURL(at.text))
	}
	if o.Username == "" && o.UsernameFile == "" {
		o.Username = at.user
	}
	return nil
}

// check validates the options without reading the disk or the network.
func (o Options) check(at location) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if o.Interval < 0 || o.Timeout < 0 {
		wrong("interval %v and timeout %v must not be negative", o.Interval, o.Timeout)
	}
	if l := o.Limits; l.RepositoryBytes < 0 || l.FileBytes < 0 || l.Files < 0 || o.DeepenLimit < 0 {
		wrong("limits must not be negative")
	}
	if o.NonFastForward != Follow && o.NonFastForward != Refuse {
		wrong("non-fast-forward %q: want %s or %s", o.NonFastForward, Follow, Refuse)
	}
	if o.Username != "" && o.UsernameFile != "" {
		wrong("a username and a username file are given; give one of them")
	}
	if o.TokenFile == "" && (o.Username != "" || o.UsernameFile != "") {
		wrong("a username is given without a token file")
	}
	if at.scheme != schemeHTTP && (o.TokenFile != "" || o.CAFile != "") {
		wrong("token file and CA file are for https; %s is not read over it", at)
	}
	if at.scheme != schemeSSH && (o.SSHKeyFile != "" || o.KnownHostsFile != "") {
		wrong("ssh key file and known_hosts file are for ssh; %s is not read over it", at)
	}
	if at.scheme == schemeSSH && o.SSHKeyFile == "" {
		wrong("%s needs an ssh key file", at)
	}
	if at.scheme == schemeSSH && o.KnownHostsFile == "" {
		wrong("%s needs a known_hosts file: host keys are always verified (ssh-keyscan writes the lines; compare them with what the forge publishes)", at)
	}
	return errors.Join(errs...)
}
