//go:build linux

package process

import (
	"context"
	"fmt"
)

// Kill ends every process of the service at once with SIGKILL and returns when
// they are gone. The instance can still be stopped, which cleans up.
func (i *instance) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := i.tree.kill(ctx); err != nil {
		return fmt.Errorf("kill service: %w", err)
	}
	select {
	case <-i.exited:
	case <-ctx.Done():
	}
	return nil
}

// Pause stops every process of the service where it is until thaw is called,
// or faultbox is killed. It returns when they have stopped.
func (i *instance) Pause() (thaw func() error, err error) {
	if thaw, err = i.tree.pause(); err != nil {
		return nil, fmt.Errorf("pause service: %w", err)
	}
	return thaw, nil
}
