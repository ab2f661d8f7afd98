// Package chapter runs the specs of the published tutorial chapter, word for
// word, against containers: `make chapter`. Its folders hold the services that
// the chapter builds and names.
package chapter
