// Command etcd is the key-value store of the API server. Debian's is too old for Kubernetes 1.35: it
// cannot ask a watch for its progress, and clients that start with a watch then wait for many seconds.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
