package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/demo"
)

func demoCommand() *cobra.Command {
	var f testFlags
	var buggy bool
	var write string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the embedded example: an orders API on PostgreSQL and Redis",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if write != "" {
				return writeDemo(cmd, write, buggy)
			}
			if err := f.settle(); err != nil {
				return err
			}
			f.setSeed(cmd)
			return runDemo(cmd, &f, buggy)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&buggy, "buggy", false, "run the API with a real resilience bug, and find it")
	cmd.Flags().StringVar(&write, "write", "", "write the example to this folder instead, to read it and make it yours")
	return cmd
}

// writeDemo leaves the example in a folder of the user's.
func writeDemo(cmd *cobra.Command, dir string, buggy bool) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make a folder for the example: %w", err)
	}
	file, _, err := demo.Prepare(dir, buggy)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; run it with: sudo faultbox test %s\n", file, shellQuote(file))
	return nil
}

// runDemo runs the example from a temporary folder, which it enters so that
// the report names its files without that folder.
func runDemo(cmd *cobra.Command, f *testFlags, buggy bool) error {
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
	if f.junit != "" {
		if f.junit, err = filepath.Abs(f.junit); err != nil {
			return fmt.Errorf("write the JUnit report: %w", err)
		}
	}
	home, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the current folder: %w", err)
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("enter the example's folder: %w", err)
	}
	defer os.Chdir(home)
	again := "sudo faultbox demo"
	if buggy {
		again += " --buggy"
	}
	return f.test(cmd, filepath.Base(file), again)
}
