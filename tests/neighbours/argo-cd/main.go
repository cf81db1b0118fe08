// Command argo-cd says how healthy Argo CD finds objects: the rules that it has built in and those that it ships in Lua, as its
// application controller asks them. It reads a JSON array of objects from standard input, and writes one line of JSON for each.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal("argo-cd: ", err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, object := range objects {
		status, err := health.GetResourceHealth(&unstructured.Unstructured{Object: object}, lua.ResourceHealthOverrides{})
		if err != nil {
			log.Fatal("argo-cd: ", err)
		}
		if err := out.Encode(status); err != nil {
			log.Fatal("argo-cd: ", err)
		}
	}
}
