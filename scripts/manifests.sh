# Sourced by ../dev: what is rendered from the Helm chart and copied into it, and the checks of deploy/ that need no cluster.
# Functions: cmd_manifests, lint_deploy, test_envoy; ensure_go_program, for the cluster too; the others are parts.
# Reads: ROOT, CACHE. Sets when sourced: HELM, CHART, KUBERNETES. Sets when it runs: GO_PROGRAM; BUILD and PYTHON for checks.

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

# What the chart is rendered and validated for.
KUBERNETES=v1.34.2

# chart_yaml VALUES [ARGUMENT...]: the chart rendered with a set of values of deploy/helm/values.
chart_yaml() {
  ensure_go_program helm "$HELM"
  "$GO_PROGRAM" template varserve "$CHART" --namespace varserve --kube-version "$KUBERNETES" \
    --values "$ROOT/deploy/helm/values/$1.yaml" "${@:2}"
}

# copy_chart_files CHART: what the chart takes from elsewhere in the repository; its package cannot reach outside.
copy_chart_files() {
  rm -rf "$1"/files/{rules,dashboards}
  mkdir -p "$1"/files/{rules,dashboards}
  find "$ROOT/deploy" -path "$ROOT/deploy/prometheus/*rules.yaml" -exec cp -t "$1/files/rules" {} +
  find "$ROOT/deploy" -path "$ROOT/deploy/grafana/*.json" -exec cp -t "$1/files/dashboards" {} +
  protoc -I "$ROOT/proto" --include_imports --descriptor_set_out "$1/files/varserve.pb" varserve/v1/inference.proto
}

# render_manifests OUT: OUT/kubernetes for those without Helm, OUT/envoy for those without Kubernetes.
render_manifests() {
  local out=$1 name
  mkdir -p "$out/kubernetes" "$out/envoy"
  for name in cpu gpu; do
    {
      echo "# Rendered from deploy/helm by ./dev manifests, with values/$name.yaml."
      chart_yaml "$name" --skip-tests
    } >"$out/kubernetes/$name.yaml"
  done
  for name in envoy envoy-tls; do
    {
      echo "# Rendered from deploy/helm by ./dev manifests, with values/$name.yaml: Envoy without Kubernetes, before two servers."
      chart_yaml "$name" --show-only templates/envoy/configmap.yaml |
        awk 'inside { sub(/^    /, ""); print } /^  envoy.yaml: / { inside = 1 }'
    } >"$out/envoy/$name.yaml"
  done
}

cmd_manifests() {
  if wants_help "$@"; then
    echo "usage: ./dev manifests
Renders deploy/kubernetes and deploy/envoy from the Helm chart, and copies rules, dashboards and the API's descriptor into the
chart."
    return
  fi
  copy_chart_files "$CHART"
  render_manifests "$ROOT/deploy"
}

# What is committed is what would be rendered now.
check_manifests_current() {
  local fresh
  fresh=$(mktemp --directory)
  cp -r "$CHART" "$fresh/chart"
  copy_chart_files "$fresh/chart"
  render_manifests "$fresh"
  { diff -r "$fresh/chart/files" "$CHART/files" && diff -r "$fresh/kubernetes" "$ROOT/deploy/kubernetes" &&
    diff -r "$fresh/envoy" "$ROOT/deploy/envoy"; } || die "deploy is not current; run ./dev manifests and commit what changes"
  rm -rf "$fresh"
}

# Helm's own checks, and two validators on every set of values and on what is committed.
lint_deploy() {
  local work values name helm kubeconform
  ensure_packages "$ROOT/scripts/packages.txt"
  ensure_venv deploy "$ROOT/tests/deploy/requirements.lock"
  ensure_go_program kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
  kubeconform=$GO_PROGRAM
  ensure_go_program helm "$HELM"
  helm=$GO_PROGRAM
  say "rendered manifests are current"
  check_manifests_current
  work=$(mktemp --directory)
  "$PYTHON" "$ROOT/tests/deploy/schemas.py" "$work/schemas"
  mkdir "$work/rendered"
  for values in "$ROOT"/deploy/helm/values/*.yaml; do
    name=$(basename "$values" .yaml)
    say "chart with values/$name.yaml"
    "$helm" lint --strict --quiet --kube-version "$KUBERNETES" "$CHART" --values "$values"
    chart_yaml "$name" >"$work/rendered/$name.yaml"
  done
  cp "$ROOT"/deploy/kserve/*.yaml "$ROOT"/deploy/kubernetes/*.yaml "$work/rendered"
  say "what the chart makes of values"
  ensure_build release varserve-server
  VARSERVE_HELM=$helm VARSERVE_BUILD=$BUILD "$PYTHON" -m unittest discover --start-directory "$ROOT/tests/deploy" --pattern 'chart*_test.py'
  say "kubeconform"
  "$kubeconform" -strict -summary -schema-location "$work/schemas/kubeconform/{{.ResourceKind}}{{.KindSuffix}}.json" "$work/rendered"
  say "kubectl-validate"
  ensure_go_program kubectl-validate sigs.k8s.io/kubectl-validate@v0.0.4
  "$GO_PROGRAM" --local-schemas "$work/schemas/openapi" --local-crds "$work/schemas/crds" "$work"/rendered/*.yaml
  rm -rf "$work"
}

# test_envoy BUILD MODEL: two servers behind a real Envoy, and callers that press it hard.
test_envoy() {
  say "testing Envoy before two servers"
  ensure_venv deploy "$ROOT/tests/deploy/requirements.lock"
  VARSERVE_BUILD=$1 VARSERVE_MODEL=$2 "$PYTHON" -m unittest discover --verbose \
    --start-directory "$ROOT/tests/deploy" --pattern 'envoy*_test.py'
}
