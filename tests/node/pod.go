// What the images of the ring hold: a program that does what a container is for.
//
//	pod pause             keep a sandbox's namespaces, as registry.k8s.io/pause does
//	pod ask NAME...       look names up with what the container has for a resolv.conf, once
//	pod app NAME...       the same every second, a line each time
//
// Under any other word it plays the process that has a kubelet inside, and starts that.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	switch os.Args[1] {
	case "pause":
		<-end
	case "ask":
		if !ask(os.Args[2:]) {
			os.Exit(1)
		}
	case "app":
		for tick := time.NewTicker(time.Second); ; {
			ask(os.Args[2:])
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	default:
		kubelet := exec.Command("/usr/local/lib/lab/embedded")
		kubelet.Stdout, kubelet.Stderr = os.Stdout, os.Stderr
		fmt.Println(kubelet.Run())
	}
}

func ask(names []string) bool {
	limit, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	answered := true
	for _, name := range names {
		found, err := net.DefaultResolver.LookupHost(limit, name)
		if err != nil {
			answered = false
			fmt.Println("failed", name, err)
			continue
		}
		fmt.Println("found", name, strings.Join(found, " "))
	}
	return answered
}
