// Package recipes holds named real-world failures, one file per protocol, that
// a spec loads with load("@faultbox/recipes/NAME.star", "NAME"). Each recipe is
// a function that makes a fault; a comment line `# name: what it is` describes
// it for `faultbox recipes`.
package recipes

import "embed"

// FS holds the recipe files at its root.
//
//go:embed *.star
var FS embed.FS
