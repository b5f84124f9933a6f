#!/bin/bash
# The node: first process of mount, network, pid, ipc and uts namespaces of its own (scripts/cluster.sh makes them). The machine's
# network, /run, /var/log and kernel settings are not touched, and with this process everything ends. Environment: CLUSTER.
set -euo pipefail
# shellcheck source=tests/deploy/cluster/settings.sh
source "$(dirname "$0")/settings.sh"
mount --make-rshared /
mkdir -p "$RUN"/{kubelet,etcd,podlogs,sysctl}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/containerd /run/lock
mount --bind "$RUN/log" /var/log
hostname "$NODE"

# The kubelet sets these for the whole kernel; it is shown files that have the values already.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file="$RUN/sysctl/${setting%%=*}"
  mkdir -p "${file%/*}"
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%%=*}"
done

ip link set lo up
ip link add node0 type veth peer name node0-peer
ip address add "$NODE_ADDRESS/24" dev node0
ip link set node0 up
ip link set node0-peer up
ip route add "$SERVICE_RANGE" dev node0 src "$NODE_ADDRESS"
sysctl -qw net.ipv4.ip_forward=1

if [[ -d /sys/fs/cgroup/cpuset ]]; then # cgroup v1, one tree for each controller
  for controller in /sys/fs/cgroup/*/; do
    [[ $controller == */unified/ ]] || mkdir -p "$controller$CGROUP"
  done
  for file in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$CGROUP/$file"
  done
else
  mkdir -p "/sys/fs/cgroup/$CGROUP"
fi

# component NAME ARGUMENT...: runs it, and again when it ends.
component() {
  local name=$1
  shift
  (while :; do
    "$name" "$@" >>"$RUN/log/$name.log" 2>&1 || echo "ended with $?" >>"$RUN/log/$name.log"
    sleep 1
  done) &
}
pki="$RUN/pki" kubeconfig="$RUN/kubeconfig"
component etcd --name "$NODE" --data-dir "$RUN/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster "$NODE=http://127.0.0.1:2380"
component containerd --config "$RUN/containerd.toml"
component kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address="$NODE_ADDRESS" \
  --advertise-address="$NODE_ADDRESS" --secure-port=6443 --service-cluster-ip-range="$SERVICE_RANGE" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --profiling=false \
  --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
  --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
  --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc \
  --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
  --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --enable-aggregator-routing=true \
  --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key"
until ctr version >/dev/null 2>&1; do sleep 0.2; done
until kubectl --kubeconfig "$kubeconfig/admin" get --raw /readyz >/dev/null 2>&1; do sleep 0.5; done
# Only now: it ends for good when it cannot read what the apiserver sets up while it starts.
component kube-controller-manager --kubeconfig="$kubeconfig/controller-manager" --bind-address=127.0.0.1 \
  --authentication-kubeconfig="$kubeconfig/controller-manager" --authorization-kubeconfig="$kubeconfig/controller-manager" \
  --leader-elect=false --use-service-account-credentials=true --root-ca-file="$pki/ca.crt" \
  --service-account-private-key-file="$pki/sa.key" --cluster-signing-cert-file="$pki/ca.crt" \
  --cluster-signing-key-file="$pki/ca.key" --allocate-node-cidrs=false --cluster-cidr="$POD_RANGE" \
  --service-cluster-ip-range="$SERVICE_RANGE" --horizontal-pod-autoscaler-sync-period=5s
component kube-scheduler --kubeconfig="$kubeconfig/scheduler" --authentication-kubeconfig="$kubeconfig/scheduler" \
  --authorization-kubeconfig="$kubeconfig/scheduler" --bind-address=127.0.0.1 --leader-elect=false
component kubelet --config="$RUN/kubelet.yaml" --kubeconfig="$kubeconfig/kubelet" --hostname-override="$NODE" \
  --node-ip="$NODE_ADDRESS" --root-dir="$RUN/kubelet" --cert-dir="$RUN/kubelet/pki"
component kube-proxy --config="$RUN/kube-proxy.yaml" --hostname-override="$NODE"
exec pause
