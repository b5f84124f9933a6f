# Sourced by what runs the cluster: where it lives. Addresses exist only in the node's network namespace.
# Reads: CLUSTER, its folder. Sets and exports: all below.
export NODE=node
export NODE_ADDRESS=10.200.0.1
export POD_RANGE=10.244.0.0/24
export SERVICE_RANGE=10.96.0.0/16
export API_SERVICE=10.96.0.1
export DNS_SERVICE=10.96.0.10
export CGROUP=varserve-cluster
export RUN="$CLUSTER/run"           # everything a running cluster writes
export DEBIAN="$CLUSTER/debian"     # etcd, containerd, runc and the CNI plugins, unpacked
export PATH="$CLUSTER/bin:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH"
