package spec

import _ "embed"

// Reference is the user's documentation of the language, in Markdown.
//
//go:embed reference.md
var Reference string
