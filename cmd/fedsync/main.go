// Command fedsync keeps a federation of Kubernetes clusters equal to a Git
// repository, and posts the outcome on the commit.
//
// Its exit status is 0 if the answer is yes, 1 if it is no (differences, findings
// that are errors, not settled in time) and 2 if there is no answer (usage, file,
// repository, no cluster answers).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/render/worker"
)

// version is set by the linker; a plain `go build` or `go install` leaves it to
// the module's version.
var version string

// The exit statuses.
const (
	statusYes      = 0
	statusNo       = 1
	statusNoAnswer = 2
	statusChanges  = 2 // of a plan
)

// negativeAnswer is the answer no, with the reason.
type negativeAnswer struct{ error }

// Unwrap returns the reason.
func (e negativeAnswer) Unwrap() error { return e.error }

func main() {
	worker.Serve() // does not return in a process that renders
	// A crash must not leave a core file with credentials in it.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	// Half of Go's default: a daemon that mostly waits need not hold twice the memory
	// that it uses. The cost is some 8 % more CPU, of little.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	// klog would bypass our log. The client libraries also return what they log as errors.
	klog.SetLogger(klog.Logger{})
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main without the process. It returns the exit status.
func run(args, environment []string, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go firstSignal(ctx, cancel)

	root := newRoot(environment)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	asked, err := root.ExecuteContextC(ctx)
	var no negativeAnswer
	switch {
	case err == nil:
		return statusYes
	case errors.Is(err, printer.ErrNo):
		return statusNo
	case errors.Is(err, errChanges):
		return statusChanges
	case errors.As(err, &no):
		printer.Error(stderr, err)
		return statusNo
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	printer.Error(stderr, err)
	if asked.Name() == planName {
		return statusNo
	}
	return statusNoAnswer
}

// firstSignal ends ctx at the first SIGINT or SIGTERM, so that the work drains. It
// leaves the second one to its default, which kills.
func firstSignal(ctx context.Context, cancel context.CancelFunc) {
	signals := make(chan os.Signal, 1) // os/signal drops a signal that has no room
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	select {
	case <-ctx.Done():
	case <-signals:
	}
	signal.Stop(signals)
	cancel()
}

func newRoot(environment []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "fedsync",
		Short: "Keep a federation of Kubernetes clusters equal to a Git repository",
		Long: `fedsync keeps a federation of Kubernetes clusters equal to a Git repository:
plain Ingress, Service and ReplicaSet manifests become one load-balanced service
over all member clusters, behind one address. It posts the outcome on the commit.

Exit status: 0 yes, 1 the answer is no (differences, findings that are errors, not
settled in time), 2 there is no answer (usage, file, repository, no cluster answers).`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newRun(environment),
		newRender(environment),
		newDiff(environment),
		newPlan(environment),
		newStatus(environment),
		newDoctor(environment),
		newFacts(environment),
		newFirewall(environment),
		newReport(environment),
		newRestore(environment),
		newTakeover(environment),
		newInit(),
		newSchema(),
		newVersion(),
		newReference(),
	)
	return root
}

// settings adds the settings of some groups to a command. Before the command runs, they
// are filled in from the environment and the configuration file.
func settings(cmd *cobra.Command, environment []string, groups ...string) *config.Config {
	cfg := config.New()
	cfg.Flags(cmd.Flags(), groups...)
	file := cmd.Flags().String("config", "", "configuration file, YAML with the settings' names as keys")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		table := pflag.NewFlagSet("", pflag.ContinueOnError)
		config.New().Flags(table, config.Groups()...)
		if err := config.Complete(cmd.Flags(), table, environment, *file); err != nil {
			return err
		}
		return cfg.Check()
	}
	return cfg
}

// quiet sets the default log level of a command that prints an answer to error: the
// answer contains what a log would warn about.
func quiet(cmd *cobra.Command) {
	f := cmd.Flags().Lookup("log-level")
	f.DefValue = "error"
	_ = f.Value.Set(f.DefValue) // any text is accepted
}

// logTime is RFC 3339 with milliseconds: seconds do not order the events of a
// failover. Trailing zeros stay, so that columns align.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// newLog writes to the command's standard error: standard output is for answers.
func newLog(cmd *cobra.Command, cfg *config.Config) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.LogLevel)
	if err != nil {
		return nil, err
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.TimeEncoderOfLayout(logTime)
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	var encoder zapcore.Encoder
	if cfg.LogFormat == "json" {
		encoder = zapcore.NewJSONEncoder(encoding)
	} else {
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoding.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	sink := zapcore.Lock(zapcore.AddSync(printer.Plain(cmd.ErrOrStderr())))
	return zap.New(zapcore.NewCore(encoder, sink, level)), nil
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "fedsync", buildVersion())
		},
	}
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "devel"
}
