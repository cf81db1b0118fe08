// What external-dns reads: its own flags, its own sources and what it wraps them in, up to the endpoints that it would give to
// a provider of DNS. These are printed, one JSON object a line. Its own `main` brings the clients of thirty such providers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns/validation"
	"sigs.k8s.io/external-dns/source"
	"sigs.k8s.io/external-dns/source/annotations"
	"sigs.k8s.io/external-dns/source/wrappers"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	flags := externaldns.NewConfig()
	if err := flags.ParseFlags(os.Args[1:]); err != nil {
		return err
	}
	if err := validation.ValidateConfig(flags); err != nil {
		return err
	}
	annotations.SetAnnotationPrefix(flags.AnnotationPrefix)
	config, err := source.NewSourceConfig(flags)
	if err != nil {
		return err
	}
	sources, err := wrappers.Build(ctx, config)
	if err != nil {
		return err
	}
	endpoints, err := sources.Endpoints(ctx)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for _, endpoint := range endpoints {
		if err := lines.Encode(endpoint); err != nil {
			return err
		}
	}
	return nil
}
