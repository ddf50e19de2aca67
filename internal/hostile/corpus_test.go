package hostile_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fedsync/fedsync/internal/hostile"
	"github.com/fedsync/fedsync/internal/lab"
)

var (
	whole   = flag.Bool("whole", false, "try every repository, not one of each kind")
	binary  = flag.String("program", "", "the fedsync to try, instead of one that is built")
	program string // path of the fedsync to try
)

func TestMain(m *testing.M) {
	flag.Parse()
	run := func(built string) int {
		program = built
		return m.Run()
	}
	if *binary != "" {
		os.Exit(run(*binary))
	}
	os.Exit(lab.WithProgram(run))
}

// TestNoRepositoryDoesHarm runs the real program on hostile repositories. Even
// with -short it tries those of the short run, which take less than a minute.
func TestNoRepositoryDoesHarm(t *testing.T) {
	for _, c := range hostile.Cases() {
		if !c.Short && !*whole {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			w := newWorld(t)
			r := run(t, c, w)
			t.Logf("%5.1f s, %5.1f s of processor, %4d MB, %d and %d bytes, status %d",
				r.wall.Seconds(), r.processor.Seconds(), r.memory>>20, r.stdout.size, r.stderr.size, r.status)
			judgeCost(t, r)
			judgeReach(t, r, w)
			judgeText(t, r)
			judgeMessage(t, r, c)
			if t.Failed() {
				t.Logf("it printed:\n%.3000q", r.stderr.kept.String())
			}
		})
	}
}

// judgeCost checks the limits.
func judgeCost(t *testing.T, r result) {
	t.Helper()
	if r.killed != "" {
		t.Errorf("killed: %s", r.killed)
	}
	if r.left > 0 {
		t.Errorf("%d processes that it started outlived it", r.left)
	}
	// It may take longer by the clock if other programs use the processors.
	if r.processor > maxTime || r.wall > *patience {
		t.Errorf("it took %v, %v of the processor; want at most %v", r.wall.Round(time.Millisecond), r.processor.Round(time.Millisecond), maxTime)
	}
	if r.memory > maxMemory {
		t.Errorf("it took %d MB of memory, want at most %d", r.memory>>20, int64(maxMemory)>>20)
	}
	if r.stdout.size > maxStdout {
		t.Errorf("it printed %d bytes, want at most %d", r.stdout.size, maxStdout)
	}
	if r.stderr.size > maxStderr {
		t.Errorf("its messages are %d bytes, want at most %d", r.stderr.size, maxStderr)
	}
	if (r.status < 0 || r.status > 2) && r.killed == "" {
		t.Errorf("its status is %d, want 0, 1 or 2", r.status)
	}
}

// judgeReach checks that the repository reached nothing outside itself.
func judgeReach(t *testing.T, r result, w *world) {
	t.Helper()
	if n := w.calls.Load(); n > 0 {
		t.Errorf("an address in the repository was called %d times", n)
	}
	if _, err := os.Stat(w.ran); err == nil {
		t.Error("a program was run")
	}
	for _, o := range []*output{&r.stdout, &r.stderr} {
		if o.found != nil {
			t.Errorf("it printed %q", o.found)
		}
	}
}

// judgeText checks that the output misleads neither terminals nor readers.
func judgeText(t *testing.T, r result) {
	t.Helper()
	said := r.stderr.kept.Bytes()
	for i := 0; i < len(said); {
		c, size := utf8.DecodeRune(said[i:])
		invalid := c == utf8.RuneError && size == 1 && i+utf8.UTFMax < len(said)
		if invalid || c != '\n' && c != '\t' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
			t.Errorf("it printed %q", said[max(0, i-60):min(len(said), i+60)])
			break
		}
		i += size
	}
	for line := range bytes.Lines(said) {
		if bytes.HasPrefix(line, []byte(hostile.Forged)) {
			t.Errorf("the repository forged a line of the output: %q", line)
		}
		if len(line) > maxLine {
			t.Errorf("a line of its output has %d bytes, want at most %d: %.200q …", len(line), maxLine, line)
			break
		}
	}
	if bytes.Contains(said, []byte("panic:")) || bytes.Contains(said, []byte("goroutine ")) || bytes.Contains(said, []byte("fatal error")) {
		t.Error("it panicked")
	}
}

// judgeMessage checks that what must be refused is refused, with a reason.
func judgeMessage(t *testing.T, r result, c hostile.Case) {
	t.Helper()
	if c.Want.Refused == "" {
		return
	}
	if r.status == 0 {
		t.Error("nothing was refused")
	}
	if said := r.stderr.kept.String(); !regexp.MustCompile(c.Want.Refused).MatchString(said) {
		t.Errorf("no message matches %q", c.Want.Refused)
	}
}
