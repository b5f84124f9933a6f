# Sourced by what runs the cluster: where it lives. Addresses exist only in the node's network namespace.
NODE=node
NODE_ADDRESS=10.200.0.1
POD_RANGE=10.244.0.0/24
SERVICE_RANGE=10.96.0.0/16
API_SERVICE=10.96.0.1
DNS_SERVICE=10.96.0.10
CGROUP=varserve-cluster
RUN="$CLUSTER/run"           # everything a running cluster writes
DEBIAN="$CLUSTER/debian"     # etcd, containerd, runc and the CNI plugins, unpacked
export PATH="$CLUSTER/bin:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH"
