// Command kstatus reads Kubernetes objects, one JSON object on each line, and prints what Flux makes of each:
// its status and the reason, as JSON, on a line of their own.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const longestLine = 16 << 20

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		// Numbers become int64 as in the API machinery's own decoder.
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		found, err := status.Compute(object)
		if err != nil {
			return err
		}
		if err := answers.Encode(map[string]string{
			"status": found.Status.String(), "message": found.Message,
		}); err != nil {
			return err
		}
	}
	return lines.Err()
}
