package lima

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// document is the part of Lima's documented schema (templates/default.yaml of
// Lima 1.0 and newer) that the template may use; every other field is an error.
type document struct {
	MinimumLimaVersion string `yaml:"minimumLimaVersion"`
	VMType             string `yaml:"vmType"` // vz, qemu
	Images             []struct {
		Location, Arch, Digest string
	}
	CPUs         int `yaml:"cpus"`
	Memory, Disk string
	Mounts       []struct {
		Location   string
		MountPoint string `yaml:"mountPoint"`
		Writable   bool
	}
	MountType  string `yaml:"mountType"` // virtiofs, 9p, reverse-sshfs
	Containerd struct{ System, User *bool }
	Provision  []struct{ Mode, Script string }
	Probes     []struct{ Mode, Description, Script, Hint string }

	PortForwards []struct {
		GuestIP        string `yaml:"guestIP"`
		GuestPort      int    `yaml:"guestPort"`
		GuestPortRange [2]int `yaml:"guestPortRange"`
		GuestSocket    string `yaml:"guestSocket"`
		HostIP         string `yaml:"hostIP"`
		HostPort       int    `yaml:"hostPort"`
		HostPortRange  [2]int `yaml:"hostPortRange"`
		HostSocket     string `yaml:"hostSocket"`
		Proto          string
		Ignore         bool
	} `yaml:"portForwards"`
	Message string
}

func parse(t *testing.T, text string) (d document) {
	t.Helper()
	in := yaml.NewDecoder(strings.NewReader(text))
	in.KnownFields(true)
	if err := in.Decode(&d); err != nil {
		t.Fatalf("the template does not follow Lima's schema: %v", err)
	}
	return d
}

func TestTemplate(t *testing.T) {
	d := parse(t, Template("/Volumes/a b"))
	archs := map[string]bool{}
	for _, image := range d.Images {
		archs[image.Arch] = true
		if !strings.HasPrefix(image.Location, "https://") {
			t.Errorf("image %s is not fetched by https", image.Location)
		}
	}
	for _, arch := range []string{"aarch64", "x86_64"} { // Lima's names
		if !archs[arch] {
			t.Errorf("no image for %s", arch)
		}
	}
	var mounted []string
	for _, m := range d.Mounts {
		if !m.Writable || m.MountPoint != "" {
			t.Errorf("%s must be writable and mounted under its own name", m.Location)
		}
		mounted = append(mounted, m.Location)
	}
	if got := strings.Join(mounted, ","); got != "/Volumes/a b,~" {
		t.Errorf("mounted are %s", got)
	}
	for _, p := range d.Provision {
		if p.Mode != "system" {
			t.Errorf("provision mode %q: the script needs root", p.Mode)
		}
	}
	for _, p := range d.Probes {
		if !strings.HasPrefix(p.Script, "#!") {
			t.Error("Lima wants probes to begin with #!")
		}
	}
	if d.Containerd.System == nil || *d.Containerd.System || d.Containerd.User == nil || *d.Containerd.User {
		t.Error("Lima's containerd must be off: Docker brings its own")
	}
}

// The scripts are what a shell can read; the kernel guests run them for real.
func TestScriptsParse(t *testing.T) {
	d := parse(t, Template())
	var scripts []string
	for _, p := range d.Provision {
		scripts = append(scripts, p.Script)
	}
	for _, p := range d.Probes {
		scripts = append(scripts, p.Script)
	}
	if want := strings.ReplaceAll(scripts[0], "{{.User}}", "mac"); strings.TrimSpace(Provision("mac")) != strings.TrimSpace(want) {
		t.Errorf("Provision is not the script that Lima runs:\n%s", Provision("mac"))
	}
	if len(scripts) != 2 {
		t.Fatalf("%d scripts, want 2", len(scripts))
	}
	for i, script := range scripts {
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("sh", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("script %d: %v\n%s", i, err, out)
		}
	}
}
