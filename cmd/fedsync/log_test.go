package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/pkg/config"
)

func TestLogTimesHaveMilliseconds(t *testing.T) {
	const at = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)`
	for format, want := range map[string]string{"json": `"ts":"` + at + `"`, "console": `^` + at + `  INFO  started`} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetErr(&out)
		log, err := newLog(cmd, &config.Config{LogLevel: "info", LogFormat: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("started")
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s: %q, want a time with milliseconds", format, out.String())
		}
	}
}
