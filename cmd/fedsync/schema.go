package main

import (
	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of fedsync.yaml",
		Long: `Prints the JSON Schema of fedsync.yaml. Editors with the YAML language server find it
through a comment on the first line of the file:

  # yaml-language-server: $schema=fedsync.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(fedfile.Schema())
			return err
		},
	}
}
