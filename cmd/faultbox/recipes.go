package main

import (
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/recipes"
	"faultbox/protocols/all"
)

func recipesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "recipes [NAME]",
		Short: "List the named failures that a spec can load, or show one protocol's file",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listRecipes(cmd.OutOrStdout())
			}
			text, err := recipes.FS.ReadFile(args[0] + ".star")
			if err != nil {
				return fmt.Errorf("show recipes: there are none for %q; there are: %s", args[0], strings.Join(recipeNames(), ", "))
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func recipeNames() []string {
	files, _ := fs.Glob(recipes.FS, "*.star") // the pattern is good
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".star")
	}
	return files
}

// recipeLine is the comment that describes a recipe: `# deadlock: …`.
var recipeLine = regexp.MustCompile(`(?m)^# ([a-z0-9_]+): (.*)$`)

func listRecipes(w io.Writer) error {
	for _, name := range recipeNames() {
		text, err := recipes.FS.ReadFile(name + ".star")
		if err != nil {
			return err
		}
		for _, p := range all.Protocols() {
			if p.Name == name {
				fmt.Fprintf(w, "# %s\n", p.Doc)
			}
		}
		fmt.Fprintf(w, "load(\"@faultbox/recipes/%s.star\", %q)\n", name, name)
		for _, m := range recipeLine.FindAllSubmatch(text, -1) {
			fmt.Fprintf(w, "  %-32s %s\n", name+"."+string(m[1]), m[2])
		}
	}
	return nil
}
