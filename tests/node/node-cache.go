// What stands in for node-cache where its module is not to be had: the real CoreDNS in the frame
// that node-cache gives it. Its flags as Kubespray uses them, its link with the node-local
// address, looked after every minute and taken down at an orderly end.
package main

import (
	"flag"
	"log"
	"net"
	"strings"
	"time"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/plugin"
	"github.com/coredns/coredns/coremain"
	"github.com/vishvananda/netlink"
)

var (
	addresses = flag.String("localip", "", "addresses to bind")
	name      = flag.String("interfacename", "nodelocaldns", "the link that has them")
	_         = flag.String("upstreamsvc", "kube-dns", "not used: the Corefile says it")
)

func main() {
	flag.Parse()
	setUp()
	caddy.OnProcessExit = append(caddy.OnProcessExit, takeDown)
	go func() {
		for range time.Tick(time.Minute) {
			setUp()
		}
	}()
	coremain.Run()
}

func setUp() {
	link, err := netlink.LinkByName(*name)
	if err != nil {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = *name
		if err = netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attributes}); err == nil {
			link, err = netlink.LinkByName(*name)
		}
	}
	if err != nil {
		log.Printf("no link %s: %v", *name, err)
		return
	}
	for _, one := range strings.Split(*addresses, ",") {
		network := netlink.NewIPNet(net.ParseIP(one))
		// It may be there.
		_ = netlink.AddrAdd(link, &netlink.Addr{IPNet: network})
	}
}

func takeDown() {
	if link, err := netlink.LinkByName(*name); err == nil {
		_ = netlink.LinkDel(link)
	}
}
