package drivers

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var matrixFile = flag.String("matrix", "", "write the table of what was compared to this `file`")

func TestMain(m *testing.M) {
	flag.Parse()
	if *recording {
		onFront = record
	}
	code := m.Run()
	if *matrixFile != "" {
		if err := writeMatrix(*matrixFile); err != nil {
			fmt.Fprintln(os.Stderr, "drivers: write the matrix:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func writeMatrix(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := WriteMatrix(f); err != nil {
		return err
	}
	return f.Close()
}
