package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"faultbox/runtime/spec"
)

func referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reference [HEADING]",
		Short: "Show the reference of the spec language, or the sections whose heading has that word",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := spec.Reference
			if len(args) > 0 {
				var err error
				if text, err = sectionsOf(text, args[0]); err != nil {
					return err
				}
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// sectionsOf returns the sections of a Markdown text, each with what is below
// it, whose heading contains word in any case.
func sectionsOf(text, word string) (string, error) {
	var found strings.Builder
	var headings []string
	within, fenced := 0, false // the level of the heading that was found; 0: none
	for line := range strings.Lines(text) {
		fenced = fenced != strings.HasPrefix(line, "```")
		level := len(line) - len(strings.TrimLeft(line, "#"))
		if fenced || level < 2 || line[level] != ' ' {
			if within > 0 {
				found.WriteString(line)
			}
			continue
		}
		heading := strings.TrimSpace(line[level:])
		headings = append(headings, heading)
		if within > 0 && level <= within {
			within = 0
		}
		if within == 0 && strings.Contains(strings.ToLower(heading), strings.ToLower(word)) {
			within = level
		}
		if within > 0 {
			found.WriteString(line)
		}
	}
	if found.Len() == 0 {
		return "", fmt.Errorf("show the reference: no heading contains %q; there are:\n  %s", word, strings.Join(headings, "\n  "))
	}
	return found.String(), nil
}
