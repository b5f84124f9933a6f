#!/bin/bash
# Writes certificates and configuration files of the one-node cluster. Environment: CLUSTER, the cluster's folder.
set -euo pipefail
# shellcheck source=tests/deploy/cluster/settings.sh
source "$(dirname "$0")/settings.sh"
mkdir -p "$RUN"/{pki,kubeconfig,cni,log}
cd "$RUN/pki"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=cluster-ca -keyout ca.key -out ca.crt
openssl genrsa -out sa.key 2048
openssl rsa -in sa.key -pubout -out sa.pub

# certificate NAME SUBJECT [ALTERNATIVE NAMES]
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile <(
    printf 'extendedKeyUsage=clientAuth,serverAuth\nkeyUsage=digitalSignature,keyEncipherment\n'
    [[ -z ${3:-} ]] || printf 'subjectAltName=%s\n' "$3"
  )
}
certificate apiserver /CN=kube-apiserver "IP:$NODE_ADDRESS,IP:$API_SERVICE,DNS:kubernetes.default.svc"
certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "IP:$NODE_ADDRESS,DNS:$NODE"
certificate admin /O=system:masters/CN=admin
certificate controller-manager /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate proxy /CN=system:kube-proxy
certificate front-proxy-client /CN=front-proxy-client

for user in admin controller-manager scheduler kubelet proxy; do
  cat >"$RUN/kubeconfig/$user" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$NODE_ADDRESS:6443", certificate-authority: $RUN/pki/ca.crt}}]
users: [{name: user, user: {client-certificate: $RUN/pki/$user.crt, client-key: $RUN/pki/$user.key}}]
contexts: [{name: context, context: {cluster: cluster, user: user}}]
current-context: context
YAML
done

# Without CAP_SYS_RESOURCE no process may lower its OOM score.
cat >"$RUN/containerd.toml" <<TOML
version = 2
root = "$RUN/containerd"
state = "/run/containerd/state"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:test"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$DEBIAN/usr/lib/cni"
    conf_dir = "$RUN/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "$DEBIAN/usr/sbin/runc"
TOML
cat >"$RUN/cni/10-ptp.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local",
 "dataDir": "/run/cni", "ranges": [[{"subnet": "$POD_RANGE"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
echo "nameserver 127.0.0.1" >"$RUN/resolv.conf"
cat >"$RUN/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_ADDRESS
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $RUN/pki/kubelet.crt
tlsPrivateKeyFile: $RUN/pki/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [$DNS_SERVICE]
clusterDomain: cluster.local
resolvConf: $RUN/resolv.conf
podLogsDir: $RUN/podlogs
failSwapOn: false
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 500Mi, nodefs.inodesFree: "0%", imagefs.available: 500Mi}
syncFrequency: 5s
YAML
cat >"$RUN/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $RUN/kubeconfig/proxy}
clusterCIDR: $POD_RANGE
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
