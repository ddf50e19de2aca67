package federation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
)

// Parse reads the content of fedsync.yaml and fills the defaults in. It is
// strict: what it does not know is a mistake. Its error is of type FileErrors
// and holds every mistake there is, each with its line, unless the file is no
// YAML at all.
func Parse(data []byte) (*Federation, error) { return ParseIn("", data) }

// ParseIn is Parse for a file in a folder of the repository, which is slash-separated and
// clean, and empty for the root.
func ParseIn(folder string, data []byte) (*Federation, error) {
	file, found := parse(data)
	if len(found) > 0 {
		return nil, found.sorted().In(path.Join(folder, FileName))
	}
	return file.federation(folder), nil
}

func parse(data []byte) (*fedsyncFile, FileErrors) {
	doc, found := federationFormat.document(data)
	if doc == nil {
		return nil, found
	}
	found = append(found, federationFormat.validate(doc)...)

	// What the schema did not refuse is judged all the same, so that one look
	// names all mistakes.
	var file fedsyncFile
	encoded, err := json.Marshal(doc.Value)
	if err == nil {
		err = json.Unmarshal(encoded, &file)
	}
	// A value of the wrong type is left out and the rest is decoded.
	var wrongType *json.UnmarshalTypeError
	if err != nil && (len(found) == 0 || !errors.As(err, &wrongType)) {
		return nil, append(found, FileError{File: FileName, Message: err.Error()})
	}
	c := checker{mistakes{file: FileName, doc: doc}}
	c.check(&file)
	return &file, append(found, c.errors()...)
}

// FileError is one mistake in fedsync.yaml or in a file of facts.
type FileError struct {
	File    string // FileName in its folder, or "facts"
	Line    int    // 0 where no line can be named
	Field   string // "spec.apps[1].path"; empty for the file as a whole
	Message string

	more int // mistakes that this one stands for, and that are not told
}

// Error gives "fedsync.yaml:12: spec.apps[1].path: …".
func (e FileError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// FileErrors are the mistakes in one file, by line: at most limit.Mistakes, and one
// more that counts the rest.
type FileErrors []FileError

// Error gives one mistake a line.
func (e FileErrors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the mistakes one by one, for errors.As.
func (e FileErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// In gives the mistakes with the name under which a person knows the file.
func (e FileErrors) In(file string) FileErrors {
	named := slices.Clone(e)
	for i := range named {
		named[i].File = file
	}
	return named
}

// Findings gives the mistakes as a report shows them.
func (e FileErrors) Findings() []Finding {
	all := make([]Finding, len(e))
	for i, one := range e {
		message := one.Message
		if one.Field != "" {
			message = one.Field + ": " + message
		}
		all[i] = Finding{
			ID: FindingConfig, Severity: SeverityError,
			File: one.File, Line: one.Line, Message: untrusted.New(message),
			Remedy: untrusted.Const("correct the file and push; until then the last good revision is kept"),
		}
	}
	return all
}

// document reads the one document that the file may hold. What has more in it than
// a file of this format may is not judged any further: then there is no document.
func (f *format) document(data []byte) (*strictyaml.Document, FileErrors) {
	var found FileErrors
	docs, err := strictyaml.Decode(data)
	if problems, ok := errors.AsType[strictyaml.Problems](err); ok {
		for _, p := range problems {
			found = append(found, FileError{File: f.file, Line: p.Line, Message: p.Message})
		}
	}
	if len(docs) > 0 {
		if tooMuch := f.tooMuch(&docs[0]); len(tooMuch) > 0 {
			return nil, append(found, tooMuch...)
		}
	}
	switch {
	case len(docs) == 0 && len(found) == 0:
		return nil, FileErrors{{File: f.file, Message: fmt.Sprintf("the file is empty; it begins with apiVersion: %s and kind: %s", APIVersion, f.kind)}}
	case len(docs) == 0:
		return nil, found
	case len(docs) > 1:
		found = append(found, FileError{
			File: f.file, Line: docs[1].Root.Line,
			Message: fmt.Sprintf("a second document begins here; the file holds one %s and nothing else", f.kind),
		})
	}
	return &docs[0], found
}

// fedsyncFile is fedsync.yaml as it is written. What it may say, the schema
// says; a test holds the two together.
type fedsyncFile struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   fileMeta `json:"metadata"`
	Spec       fileSpec `json:"spec"`
}

type fileMeta struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
}

type fileSpec struct {
	Clusters         []fileCluster    `json:"clusters"`
	Apps             []fileApp        `json:"apps"`
	CreateNamespaces *bool            `json:"createNamespaces"`
	NodePorts        fileNodePorts    `json:"nodePorts"`
	Failover         fileFailover     `json:"failover"`
	GCP              *fileGCP         `json:"gcp"`
	CommitStatus     fileCommitStatus `json:"commitStatus"`
	OnRemove         string           `json:"onRemove"`
}

type fileCluster struct {
	Name    string            `json:"name"`
	Context string            `json:"context"`
	Labels  map[string]string `json:"labels"`
	State   string            `json:"state"`
	Drain   bool              `json:"drain"`
	Weight  *int64            `json:"weight"`
	Zone    string            `json:"zone"`
}

type fileApp struct {
	Name            string                `json:"name"`
	Path            string                `json:"path"`
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector"`
	Adoption        string                `json:"adoption"`
	Prune           *bool                 `json:"prune"`
	PruneLimit      any                   `json:"pruneLimit"` // "10%" or a count
}

type fileNodePorts struct {
	Range string `json:"range"`
}

type fileFailover struct {
	Mode        string   `json:"mode"`
	ConfirmLost []string `json:"confirmLost"`
}

type fileGCP struct {
	Project      string   `json:"project"`
	Network      string   `json:"network"`
	LoadBalancer string   `json:"loadBalancer"`
	Firewall     string   `json:"firewall"`
	Addresses    string   `json:"addresses"`
	Tags         []string `json:"tags"`
}

// defaultWeight lets a cluster have all the traffic that its replicas can take.
const defaultWeight = 100

type fileCommitStatus struct {
	Context    string `json:"context"`
	PerCluster bool   `json:"perCluster"`
}

// federation fills the defaults in. It is called for a file without mistakes.
func (f *fedsyncFile) federation(folder string) *Federation {
	out := &Federation{
		Name:             f.Metadata.Name,
		Folder:           folder,
		Annotations:      f.Metadata.Annotations,
		CreateNamespaces: orDefault(f.Spec.CreateNamespaces, true),
		Failover: Failover{
			Mode:          cmp.Or(f.Spec.Failover.Mode, "Automatic"),
			ConfirmedLost: f.Spec.Failover.ConfirmLost,
		},
		CommitStatus: CommitStatus{
			Context:    cmp.Or(f.Spec.CommitStatus.Context, DefaultStatusContext(folder, f.Metadata.Name)),
			PerCluster: f.Spec.CommitStatus.PerCluster,
		},
		OnRemove: OnRemove(cmp.Or(f.Spec.OnRemove, string(OnRemoveOrphan))),
	}
	out.NodePorts, _ = parseRange(cmp.Or(f.Spec.NodePorts.Range, "30000-32767"))
	for _, c := range f.Spec.Clusters {
		out.Clusters = append(out.Clusters, Cluster{
			Name:    c.Name,
			Context: cmp.Or(c.Context, c.Name),
			Labels:  c.Labels,
			Lost:    c.State == "Lost",
			Drain:   c.Drain,
			Weight:  int(orDefault(c.Weight, defaultWeight)),
			Zone:    c.Zone,
		})
	}
	for _, a := range f.Spec.Apps {
		app := a.app()
		app.Path = path.Join(folder, app.Path)
		out.Apps = append(out.Apps, app)
	}
	if g := f.Spec.GCP; g != nil {
		out.GCP = &GCP{
			Project:      g.Project,
			Network:      cmp.Or(g.Network, "default"),
			LoadBalancer: LoadBalancer(cmp.Or(g.LoadBalancer, string(LoadBalancerNodePorts))),
			Firewall:     FirewallPolicy(cmp.Or(g.Firewall, string(FirewallManaged))),
			Addresses:    AddressPolicy(cmp.Or(g.Addresses, string(AddressReserve))),
			Tags:         sorted(g.Tags),
		}
	}
	return out
}

func (a *fileApp) app() App {
	out := App{
		Name:       a.Name,
		Path:       a.Path,
		Adoption:   Adoption(cmp.Or(a.Adoption, string(AdoptAlways))),
		Prune:      orDefault(a.Prune, true),
		PruneLimit: pruneLimit(a.PruneLimit),
	}
	if a.ClusterSelector != nil {
		if s, err := selectorOf(a.ClusterSelector); err == nil {
			out.Selector = NewSelector(s)
		}
	}
	return out
}

func pruneLimit(v any) PruneLimit {
	switch v := v.(type) {
	case float64:
		return PruneLimit{Count: int(v), IsCount: true}
	case string:
		percent, err := strconv.Atoi(strings.TrimSuffix(v, "%"))
		if err == nil {
			return PruneLimit{Percent: percent}
		}
	}
	return PruneLimit{Percent: 10}
}

// parseRange reads "30000-32767".
func parseRange(s string) (PortRange, error) {
	first, last, _ := strings.Cut(s, "-")
	from, errFrom := strconv.ParseInt(first, 10, 32)
	to, errTo := strconv.ParseInt(last, 10, 32)
	switch {
	case errFrom != nil || errTo != nil:
		return PortRange{}, fmt.Errorf("%q is no range: write it as 30000-32767", s)
	case from < 1 || to > 65535:
		return PortRange{}, fmt.Errorf("%q leaves the ports that there are, 1-65535", s)
	case from > to:
		return PortRange{}, fmt.Errorf("%q ends before it begins: write %d-%d", s, to, from)
	}
	return PortRange{First: int32(from), Last: int32(to)}, nil
}

func orDefault[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

func sorted(texts []string) []string {
	out := slices.Clone(texts)
	slices.Sort(out)
	return out
}
