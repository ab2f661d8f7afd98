package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/demo"
)

func demoCommand() *cobra.Command {
	var f testFlags
	var buggy bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the embedded example: an orders API on PostgreSQL and Redis",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "faultbox-demo-")
			if err != nil {
				return fmt.Errorf("make a folder for the example: %w", err)
			}
			defer os.RemoveAll(dir)
			file, notes, err := demo.Prepare(dir, buggy)
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), n)
			}
			again := "sudo faultbox demo"
			if buggy {
				again += " --buggy"
			}
			f.setSeed(cmd)
			return f.test(cmd, file, again)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&buggy, "buggy", false, "run the API with a real resilience bug, and find it")
	return cmd
}
