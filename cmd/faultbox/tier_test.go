package main

import (
	"errors"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/runtime"
)

func TestChoose(t *testing.T) {
	no := errors.New("forbidden")
	for _, c := range []struct {
		means means
		want  tier
	}{
		{means{root: true}, asRoot},
		{means{root: true, host: true}, asRoot},
		{means{root: true, userNS: no}, asRoot},
		{means{}, inNamespace},
		{means{inside: true, userNS: no}, inNamespace},
		{means{userNS: no}, onHost},
		{means{host: true}, onHost},
		{means{inside: true, host: true}, onHost},
	} {
		if got := choose(c.means); got != c.want {
			t.Errorf("choose(%+v) = %d, want %d", c.means, got, c.want)
		}
	}
}

// TestTiersSayWhatIsLacking: only root has nothing to say.
func TestTiersSayWhatIsLacking(t *testing.T) {
	for tier, lacking := range map[tier]bool{asRoot: false, inNamespace: true, onHost: true} {
		if says := tier.describe(nil) != "" && tier.lacks() != ""; says != lacking {
			t.Errorf("tier %d: %q, %q", tier, tier.describe(nil), tier.lacks())
		}
	}
	var lacks *runtime.LacksError
	u := unavailable{as: "sudo faultbox test x.star"}
	_, driving := u.Start(t.Context(), nil, &runtime.Service{Name: "db"}, nil)
	_, impairing := u.Impair(nil, &runtime.Service{Name: "db"}, nil, intercept.Fault{}, 0, 0)
	for _, err := range []error{driving, impairing} {
		if !errors.As(err, &lacks) || !strings.Contains(err.Error(), "needs root: run `sudo faultbox test x.star`") {
			t.Errorf("got %v", err)
		}
	}
}
