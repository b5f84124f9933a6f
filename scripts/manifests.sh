# Sourced by ../dev: what is rendered from the Helm chart and copied into it, and the checks of all that.

HELM=helm.sh/helm/v3/cmd/helm@v3.19.2
CHART="$ROOT/deploy/helm/varserve"

# ensure_go_program NAME PACKAGE@VERSION: builds a Go program into the cache. Sets GO_PROGRAM.
ensure_go_program() {
  GO_PROGRAM="$CACHE/go/${2##*@}/$1"
  [[ -x $GO_PROGRAM ]] && return
  command -v go >/dev/null || die "Go 1.24 or later is needed to build $1"
  say "building $1, a few minutes"
  CGO_ENABLED=0 GOBIN="$CACHE/go/${2##*@}" GOFLAGS=-buildvcs=false go install -ldflags "-s -w" "$2" >/dev/null 2>"$CACHE/$1.log" || {
    tail "$CACHE/$1.log" >&2
    die "building $1 failed"
  }
}

helm() {
  ensure_go_program helm "$HELM"
  "$GO_PROGRAM" "$@"
}

# copy_chart_files CHART: what the chart takes from elsewhere in the repository; its package cannot reach outside.
copy_chart_files() {
  rm -rf "$1"/files/{rules,dashboards}
  mkdir -p "$1"/files/{rules,dashboards}
  cp "$ROOT"/deploy/prometheus/*rules*.yaml "$1/files/rules/"
  cp "$ROOT"/deploy/grafana/*.json "$1/files/dashboards/"
  protoc -I "$ROOT/proto" --include_imports --descriptor_set_out "$1/files/varserve.pb" "$ROOT/proto/varserve/v1/inference.proto"
}

# render_manifests CHART OUT: OUT/kubernetes for those without Helm, OUT/envoy for those without Kubernetes.
render_manifests() {
  local chart=$1 out=$2 name
  mkdir -p "$out/kubernetes" "$out/envoy"
  for name in cpu gpu; do
    {
      echo "# Rendered from deploy/helm/varserve by ./dev manifests, with the values of deploy/helm/values/$name.yaml."
      helm template varserve "$chart" --namespace varserve --skip-tests --values "$ROOT/deploy/helm/values/$name.yaml"
    } >"$out/kubernetes/$name.yaml"
  done
  for name in envoy envoy-tls; do
    {
      echo "# Rendered from deploy/helm/varserve by ./dev manifests: Envoy without Kubernetes, before two servers."
      helm template varserve "$chart" --namespace varserve --values "$ROOT/deploy/helm/values/$name.yaml" \
        --show-only templates/envoy/configmap.yaml | sed -n '/^  envoy.yaml: |/,$s/^    //p'
    } >"$out/envoy/$name.yaml"
  done
}

# What is committed is what would be rendered now.
check_manifests_current() {
  local fresh
  fresh=$(mktemp --directory)
  cp -r "$CHART" "$fresh/chart"
  copy_chart_files "$fresh/chart"
  render_manifests "$CHART" "$fresh"
  diff -r "$fresh/chart/files" "$CHART/files" &&
    diff -r "$fresh/kubernetes" "$ROOT/deploy/kubernetes" &&
    diff -r "$fresh/envoy" "$ROOT/deploy/envoy" ||
    die "deploy is not current; run ./dev manifests and commit what changes"
  rm -rf "$fresh"
}

# schemas OUT: the OpenAPI documents of the pinned Kubernetes, as kubectl-validate wants them.
kubernetes_schemas() {
  local module file group
  module=$(cd "$ROOT/tests/deploy/cluster/kubernetes" && go mod download -json k8s.io/kubernetes@v1.34.2 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  mkdir -p "$1/api" "$1/apis"
  cp "$module/api/openapi-spec/v3/api__v1_openapi.json" "$1/api/v1.json"
  for file in "$module"/api/openapi-spec/v3/apis__*__*_openapi.json; do
    group=$(basename "$file" _openapi.json)
    group=${group#apis__}
    mkdir -p "$1/apis/${group%%__*}"
    cp "$file" "$1/apis/${group%%__*}/${group#*__}.json"
  done
}
