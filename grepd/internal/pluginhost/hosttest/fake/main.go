// Command fake is the plugin of the tests of hosts; see package hosttest.
package main

import (
	"os"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
)

func main() { os.Exit(hosttest.RunFake()) }
