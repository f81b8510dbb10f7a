// A program on the node that resolves with Go's own resolver, as containerd and kubelet do.
// Each line on stdin is a name; it answers with its addresses, or "failed" and why.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		found, err := resolver.LookupHost(context.Background(), names.Text())
		if err != nil {
			fmt.Println("failed", err)
			continue
		}
		fmt.Println(strings.Join(found, " "))
	}
}
