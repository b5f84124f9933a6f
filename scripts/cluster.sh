# Sourced by ../dev: a real one-node Kubernetes in namespaces of this machine, and what is proved on it.
# Functions: cluster_usage, run_cluster; the others are its parts.
# Reads: ROOT, CACHE; BASE_IMAGE of image.sh, HELM and KUBERNETES of manifests.sh.
# Sets when sourced: CLUSTER, CLUSTER_SOURCES. Sets when it runs: GO_PROGRAM; for the checks BUILD, PYTHON and an EXIT trap.

CLUSTER="$CACHE/cluster"
CLUSTER_SOURCES="$ROOT/tests/deploy/cluster"

cluster_usage() {
  cat <<'TEXT'
usage: ./dev cluster [check] [--keep] [--ca FILE]   start a cluster, install the chart, run the checks, stop the cluster;
                                                    writes docs/evidence/cluster.log
       ./dev cluster up | down            only start or stop the cluster
       ./dev cluster kubectl ARGUMENT...  as administrator of the running cluster
       ./dev cluster helm ARGUMENT...
A real one-node Kubernetes: Debian's etcd, containerd and runc, and Kubernetes built from its Go modules (once; ten minutes of
CPU time), in its own mount, network and process namespaces. Needs root, Debian 12 and Go 1.24. With --keep the cluster keeps
running; --ca is the same as for ./dev image.
TEXT
}

run_cluster() {
  local what=check
  if [[ $# -gt 0 && $1 != --* ]]; then
    what=$1
    shift
  fi
  case $what in
    up) cluster_up ;;
    down) cluster_down ;;
    kubectl | helm) as_admin "$what" "$@" ;;
    check) cluster_check "$@" ;;
    *) cluster_usage >&2; die "cluster: there is no \"$what\"" ;;
  esac
}

# go_module NAME OUTPUT [LDFLAG...]: builds the program in tests/deploy/cluster/NAME.
go_module() {
  [[ -x $2 ]] && return
  command -v go >/dev/null || die "cluster: Go 1.24 or later is needed"
  say "building $1, some minutes"
  (cd "$CLUSTER_SOURCES/$1" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice go build -ldflags "-s -w ${*:3}" -o "$2" .) \
    >"$CLUSTER/$1.log" 2>&1 || {
    tail "$CLUSTER/$1.log" >&2
    die "cluster: building $1 failed"
  }
}

ensure_cluster_programs() {
  [[ $EUID -eq 0 ]] || die "cluster: has to be root, try sudo ./dev cluster"
  ensure_packages "$ROOT/scripts/packages.txt" "$ROOT/scripts/packages-image.txt" "$ROOT/scripts/packages-cluster.txt"
  mkdir -p "$CLUSTER/bin"
  if [[ ! -x $CLUSTER/debian/usr/bin/containerd ]]; then
    say "unpacking etcd, containerd, runc and CNI plugins of Debian"
    local debs
    debs=$(mktemp --directory)
    chmod 755 "$debs"
    (cd "$debs" && apt-get --quiet=2 download etcd-server containerd runc containernetworking-plugins >/dev/null 2>&1)
    for deb in "$debs"/*.deb; do dpkg-deb --extract "$deb" "$CLUSTER/debian"; done
    rm -rf "$debs"
  fi
  [[ -x $CLUSTER/bin/pause ]] || gcc -Os -static -s -o "$CLUSTER/bin/pause" "$CLUSTER_SOURCES/pause.c"
  go_module coredns "$CLUSTER/bin/coredns"
  go_module kubernetes "$CLUSTER/bin/kubernetes" "-X k8s.io/component-base/version.gitVersion=$KUBERNETES" \
    "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34" \
    "-X k8s.io/client-go/pkg/version.gitVersion=$KUBERNETES"
  local program
  for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -sf kubernetes "$CLUSTER/bin/$program"
  done
  ensure_go_program helm "$HELM"
  ln -sf "$GO_PROGRAM" "$CLUSTER/bin/helm"
}

# program_image NAME BASE PROGRAM ENTRYPOINT: an image with one more program in it, imported under localhost/NAME:test.
program_image() {
  local container archive="$CLUSTER/$1.tar"
  container=$(in_buildah from "$2")
  in_buildah copy --quiet "$container" "$3" "$4" >/dev/null
  in_buildah config --entrypoint "[\"$4\"]" "$container"
  in_buildah commit --quiet --format docker "$container" "localhost/$1:test" >/dev/null
  in_buildah rm "$container" >/dev/null
  import_image "localhost/$1:test" "$archive"
}

# import_image IMAGE ARCHIVE: from buildah's store to the node's.
import_image() {
  save_image buildah "$1" "$2"
  in_node ctr --namespace k8s.io images import "$2" >/dev/null
  rm -f "$2"
}

# Any command in the node's namespaces; as its administrator.
in_node() {
  nsenter --target "$(<"$CLUSTER/node.pid")" --net --mount --pid --ipc --uts -- \
    env PATH="$CLUSTER/bin:$CLUSTER/debian/usr/bin:$CLUSTER/debian/usr/sbin:$PATH" "$@"
}
as_admin() { nsenter --target "$(<"$CLUSTER/node.pid")" --net -- "$CLUSTER/bin/$1" --kubeconfig "$CLUSTER/run/kubeconfig/admin" "${@:2}"; }

# The node runs, and it is this cache folder's.
cluster_runs() {
  [[ -s $CLUSTER/node.pid ]] && grep -qzx "CLUSTER=$CLUSTER" "/proc/$(<"$CLUSTER/node.pid")/environ" 2>/dev/null
}

# wait_until WHAT SECONDS COMMAND...
wait_until() {
  local what=$1 end=$((SECONDS + $2))
  until "${@:3}" >/dev/null 2>&1; do
    cluster_runs || die "cluster: the node ended; its logs are in $CLUSTER/run/log"
    [[ $SECONDS -lt $end ]] || die "cluster: waited $2 s for $what; logs are in $CLUSTER/run/log"
    sleep 0.5
  done
}

cluster_up() {
  ensure_cluster_programs
  if ! cluster_runs; then
    cluster_down
    say "starting Kubernetes $KUBERNETES"
    mkdir -p "$CLUSTER/run/log"
    CLUSTER="$CLUSTER" "$CLUSTER_SOURCES/configure.sh" >"$CLUSTER/run/log/configure.log" 2>&1 || die "cluster: see $CLUSTER/run/log/configure.log"
    CLUSTER="$CLUSTER" setsid unshare --mount --propagation private --net --pid --ipc --uts --fork --mount-proc --kill-child \
      "$CLUSTER_SOURCES/node.sh" >"$CLUSTER/run/log/node.log" 2>&1 </dev/null &
    local unshare=$!
    local node=""
    until [[ -n $node ]]; do
      read -r node <"/proc/$unshare/task/$unshare/children" || true
      kill -0 $unshare 2>/dev/null || die "cluster: no namespaces: $(tail -n 3 "$CLUSTER/run/log/node.log")"
      sleep 0.1
    done
    echo "$node" >"$CLUSTER/node.pid"
    wait_until "the API server" 180 as_admin kubectl get --raw /readyz
    wait_until "the node to register" 120 as_admin kubectl get node node
  fi
  program_image pause scratch "$CLUSTER/bin/pause" /pause
  program_image coredns scratch "$CLUSTER/bin/coredns" /coredns
  as_admin kubectl wait --for=condition=Ready node/node --timeout=120s >/dev/null
  wait_until "the default service account" 60 as_admin kubectl get serviceaccount default
  as_admin kubectl apply -f "$CLUSTER_SOURCES/dns.yaml" >/dev/null
  as_admin kubectl --namespace kube-system rollout status deployment/coredns --timeout=120s >/dev/null
  say "Kubernetes runs; ./dev cluster kubectl and ./dev cluster helm talk to it"
}

cluster_down() {
  if cluster_runs; then
    local pid
    pid=$(<"$CLUSTER/node.pid")
    kill -KILL "$pid"
    while [[ -d /proc/$pid ]]; do sleep 0.1; done
  fi
  local tree
  for tree in /sys/fs/cgroup/*/varserve-cluster /sys/fs/cgroup/varserve-cluster; do
    [[ ! -d $tree ]] || find "$tree" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  rm -rf --one-file-system "$CLUSTER/run" "$CLUSTER/node.pid"
}

cluster_check() {
  local keep=no ca=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      --keep) keep=yes ;;
      --ca) ca=(--ca "${2:?--ca needs a file}") && shift ;;
      *) die "cluster: unexpected argument \"$1\"" ;;
    esac
    shift
  done
  ensure_build release varserve-server varserve
  ensure_venv deploy "$ROOT/tests/deploy/requirements.lock"
  build_image --builder buildah --model embedded --tag localhost/varserve:test "${ca[@]}"
  [[ $keep == yes ]] || trap cluster_down EXIT
  cluster_up
  import_image localhost/varserve:test "$CLUSTER/varserve.tar"
  in_node ctr --namespace k8s.io images tag --force localhost/varserve:test localhost/varserve:next >/dev/null
  program_image envoy "$BASE_IMAGE" "$("$PYTHON" -c 'import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin/envoy")')" /usr/local/bin/envoy
  {
    echo "The last run of ./dev cluster: $(date --utc +%F), $(nproc) cores, Kubernetes $KUBERNETES, commit $(git -C "$ROOT" rev-parse --short HEAD)."
    echo
    "$PYTHON" "$ROOT/tests/deploy/cluster_check.py" --cluster "$CLUSTER" --build "$BUILD"
  } | tee "$ROOT/docs/evidence/cluster.log"
}
