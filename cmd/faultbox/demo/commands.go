package demo

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/demo/kvstore"
	"faultbox/cmd/faultbox/demo/orders"
	"faultbox/cmd/faultbox/demo/pgserver"
)

// Commands returns the hidden subcommands that are the example's services. Each
// listens on localhost at $PORT and runs until its context ends.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		service("demo-orders", "Serve the orders API (PORT, DATABASE_URL, REDIS_URL, BUGGY)", func(cmd *cobra.Command) error {
			cfg, err := orders.FromEnv()
			if err != nil {
				return err
			}
			return orders.Run(cmd.Context(), cfg)
		}),
		service("demo-postgres", "Run the installed PostgreSQL (PORT, POSTGRES_PASSWORD)", func(cmd *cobra.Command) error {
			return pgserver.Run(cmd.Context(), pgserver.FromEnv())
		}),
		service("demo-redis", "Run the installed Redis, or else the embedded store (PORT)", runRedis),
	}
}

func service(name, short string, run func(*cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
}

// redisServer returns the path of an installed Redis or Valkey, or "".
func redisServer() string {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// runRedis becomes the installed Redis; without one it serves the embedded store.
func runRedis(cmd *cobra.Command) error {
	port := cmp.Or(os.Getenv("PORT"), "6379")
	if bin := redisServer(); bin != "" {
		args := []string{bin, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}
		return fmt.Errorf("run %s: %w", bin, syscall.Exec(bin, args, os.Environ()))
	}
	ln, err := net.Listen("tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		return fmt.Errorf("listen for Redis clients: %w", err)
	}
	fmt.Fprintln(os.Stderr, "embedded Redis-protocol store ready on", ln.Addr())
	return kvstore.Serve(cmd.Context(), ln)
}
