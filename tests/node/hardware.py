"""What a machine has and a container has not, made up for at the node's boot."""

from managers.setup import File

# kubelet insists on these (protectKernelDefaults), and they are not the container's to change.
_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_BIND_SYSCTLS = "\n".join(
    f"echo {value} > /run/lab/{name.replace('/', '.')}"
    f" && mount --bind /run/lab/{name.replace('/', '.')} /proc/sys/{name}"
    for name, value in _SYSCTLS.items()
)
# What a machine has and a container hasn't: control groups to write to, shared mounts, a
# kernel log. And a link for node-cache: where the kernel has no dummy links, a bridge has to do,
# there before it and again after it has taken it down.
_LAB_NODE = f"""\
#!/bin/sh
mkdir -p /run/lab
mount --make-rshared /
for group in /sys/fs/cgroup/*/; do
    mount -o remount,rw,bind "$group"
done
# No link to /dev/null: units with ProtectKernelLogs= would lose that instead.
mknod /dev/kmsg c 1 3
{_BIND_SYSCTLS}
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
echo 1 > /proc/sys/net/ipv4/ip_forward
exit 0
"""
_LAB_NODE_SERVICE = """\
[Unit]
Description=What a machine has and a container has not
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/lab/node

[Install]
WantedBy=sysinit.target
"""
_LINK = """\
#!/bin/sh
make() {
    ip link show nodelocaldns >/dev/null 2>&1 || ip link add nodelocaldns type dummy ||
        ip link add nodelocaldns type bridge
}
make
ip monitor link | while read -r _; do make; done
"""
_LINK_SERVICE = """\
[Unit]
Description=A link for node-cache
Before=kubelet.service

[Service]
ExecStart=/usr/local/lib/lab/link

[Install]
WantedBy=multi-user.target
"""

UNITS = ("lab-node.service", "lab-link.service")
FILES = (
    File("/etc/systemd/system/lab-node.service", _LAB_NODE_SERVICE),
    File("/etc/systemd/system/lab-link.service", _LINK_SERVICE),
    File("/usr/local/lib/lab/node", _LAB_NODE, mode=0o755),
    File("/usr/local/lib/lab/link", _LINK, mode=0o755),
)
