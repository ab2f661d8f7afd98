package starter

import _ "embed" // the example

// Local is the first spec of who has no compose file.
//
//go:embed local.star
var Local string
