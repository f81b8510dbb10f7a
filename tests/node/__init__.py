"""The package on a real Kubernetes node: kubelet, containerd, NodeLocalDNS and CoreDNS as pods."""
