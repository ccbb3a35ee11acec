// Command registry is the real registry of images, for the tests. `registry serve CONFIG.yml` is its own command;
// `registry htpasswd USER PASSWORD` prints the line of a password file.
package main

import (
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

func main() {
	// Else it would look for a collector of traces.
	os.Setenv("OTEL_TRACES_EXPORTER", "none")
	registry.RootCmd.AddCommand(&cobra.Command{
		Use:  "htpasswd USER PASSWORD",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			// The lowest cost: it protects nothing.
			hash, err := bcrypt.GenerateFromPassword([]byte(args[1]), bcrypt.MinCost)
			if err == nil {
				fmt.Printf("%s:%s\n", args[0], hash)
			}
			return err
		},
	})
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
