package main_test

import (
	"os"
	"os/exec"
	"testing"
)

// The command builds for every system that its users have. go vet would look
// deeper, and compile nothing less.
func TestCrossCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: builds the command for three other systems")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs go: builds the command for other systems")
	}
	for _, target := range [][2]string{{"darwin", "arm64"}, {"darwin", "amd64"}, {"linux", "arm64"}, {"linux", "amd64"}} {
		t.Run(target[0]+"/"+target[1], func(t *testing.T) {
			cmd := exec.Command("go", "build", "-o", os.DevNull, ".")
			cmd.Env = append(os.Environ(), "GOOS="+target[0], "GOARCH="+target[1], "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
