# Sourced by ../dev: the container image, built and tried with Docker, or with buildah where no Docker runs.
# Functions: build_image, for ./dev image and the cluster; in_buildah and save_image, for the cluster; the others are parts.
# Reads: ROOT, CACHE; MODEL, which it sets where the model is mounted.
# Sets when sourced: BUILDAH, BASE_IMAGE, ANY_USER. Sets while the image runs: IMAGE, END_IMAGE, IMAGE_LOG, IMAGE_PID and an
# EXIT trap.

image_usage() {
  cat <<'TEXT'
usage: ./dev image [--flavour cpu|cuda] [--model volume|embedded] [--tag NAME] [--builder docker|buildah] [--ca FILE]
                   [--save FILE]
       ./dev image --pin
Builds the image, prints its size, starts it as an arbitrary user and runs the demo in it.

  --flavour   cuda adds the libraries for a GPU. Default: cpu
  --model     volume: the model is mounted when the image runs; embedded: the image contains the embedded model.
              Default: embedded
  --tag       name of the image. Default: varserve:VERSION-FLAVOUR
  --builder   default: docker if its daemon answers, else buildah (root, Debian; needs no daemon and no image registry:
              the base image is made from Debian packages)
  --ca        PEM file of certificate authorities to trust during the build, such as a proxy's; the image does not
              contain them. Default: only Debian's
  --save      also write the image to FILE, as docker save does
  --pin       write the registry's current digest of the base image into Dockerfile, with docker or skopeo
TEXT
}

# buildah, with what it stores in the cache folder. Overlay mounts do not stack.
BUILDAH=(buildah --root "$CACHE/image/storage" --runroot "$CACHE/image/run" --storage-driver)
if [[ $(stat --file-system --format=%T "$(dirname "$CACHE")" 2>/dev/null) == overlayfs ]]; then BUILDAH+=(vfs); else BUILDAH+=(overlay); fi
in_buildah() { "${BUILDAH[@]}" "$@"; }

# The base image out of Debian's packages.
BASE_IMAGE=localhost/varserve-base:bookworm
ensure_base_image() {
  in_buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1 && return
  local tree container mirror
  tree=$(mktemp --directory --tmpdir="$CACHE/image")
  say "making the base image $BASE_IMAGE"
  debootstrap --variant=minbase bookworm "$tree" >"$CACHE/image/debootstrap.log" ||
    die "debootstrap failed; its log is $CACHE/image/debootstrap.log"
  mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' "$tree/etc/apt/sources.list")
  printf 'deb %s main\n' "$mirror bookworm" "$mirror bookworm-updates" "$mirror-security bookworm-security" >"$tree/etc/apt/sources.list"
  rm -rf "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
  container=$(in_buildah from scratch)
  in_buildah add --quiet "$container" "$tree" / >/dev/null
  in_buildah commit --quiet "$container" "$BASE_IMAGE" >/dev/null
  in_buildah rm "$container" >/dev/null
  rm -rf --one-file-system "$tree"
}

# Writes the digest of the base image, as the registry has it now, into Dockerfile.
pin_base_image() {
  local name digest
  name=$(sed -n 's/^ARG BASE=\([^@]*\).*/\1/p' "$ROOT/Dockerfile")
  if docker buildx version >/dev/null 2>&1; then
    digest=$(docker buildx imagetools inspect "$name" --format '{{.Manifest.Digest}}')
  elif command -v skopeo >/dev/null; then
    [[ $name == */* ]] || name="docker.io/library/$name"
    digest=$(skopeo inspect --format '{{.Digest}}' "docker://$name")
  else
    die "image: --pin needs docker with buildx, or skopeo"
  fi
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || die "image: the registry gives no digest of $name"
  sed -i "s|^\(ARG BASE=[^@]*\).*|\1@$digest|" "$ROOT/Dockerfile"
  say "$name is pinned to $digest; commit Dockerfile"
}

# What OpenShift gives a pod: a user no file is of, in group 0.
ANY_USER=1000680000:0

# run_image BUILDER IMAGE MODEL PORT: starts the image without any privilege; then IMAGE begins a command in it, and stop_image
# ends it.
run_image() {
  local builder=$1 image=$2 model=$3 port=$4 container mounts
  mounts=(--volume "$ROOT/models/embedded/demo:/demo:ro")
  [[ $model == embedded ]] || mounts+=(--volume "$MODEL:/model:ro")
  IMAGE_LOG=$(mktemp --suffix=.log)
  if [[ $builder == docker ]]; then
    container=$(docker run --detach --user "$ANY_USER" --read-only --cap-drop ALL --security-opt no-new-privileges "${mounts[@]}" "$image" \
      --listen "0.0.0.0:$port" --model_name embedded)
    IMAGE=(docker exec "$container")
    END_IMAGE=(docker rm --force "$container")
  else
    container=$(in_buildah from "$image")
    IMAGE=("${BUILDAH[@]}" run --isolation=chroot --user "$ANY_USER" --cap-drop all "${mounts[@]}" "$container" --)
    END_IMAGE=("${BUILDAH[@]}" rm "$container")
    "${IMAGE[@]}" varserve-server --listen "127.0.0.1:$port" --http_listen "" --metrics_listen "" --model_name embedded >"$IMAGE_LOG" 2>&1 &
    IMAGE_PID=$!
  fi
  trap stop_image EXIT
}

stop_image() {
  trap - EXIT
  if [[ -n ${IMAGE_PID:-} ]]; then
    kill "$IMAGE_PID" 2>/dev/null || true
    wait "$IMAGE_PID" 2>/dev/null || true
  fi
  "${END_IMAGE[@]}" >/dev/null
  rm -f "$IMAGE_LOG"
}

build_image() {
  local flavour=cpu model=embedded builder="" tag="" ca="" save=""
  while [[ $# -gt 0 ]]; do
    case $1 in
      --help | -h) image_usage; return ;;
      --pin) pin_base_image; return ;;
      --flavour) flavour=${2:-} ;;
      --model) model=${2:-} ;;
      --builder) builder=${2:-} ;;
      --tag) tag=${2:-} ;;
      --ca) ca=${2:-} ;;
      --save) save=${2:-} ;;
      *) die "image: unknown option $1; see ./dev image --help" ;;
    esac
    shift 2 || die "image: $1 needs a value"
  done
  [[ $flavour == cpu || $flavour == cuda ]] || die "image: --flavour is cpu or cuda"
  [[ $model == volume || $model == embedded ]] || die "image: --model is volume or embedded"
  [[ -n $builder ]] || { docker info >/dev/null 2>&1 && builder=docker || builder=buildah; }
  mkdir -p "$CACHE/image"
  local version arguments
  version=$(sed -n 's/^project(varserve VERSION \([0-9.]*\).*/\1/p' "$ROOT/CMakeLists.txt")
  [[ -n $tag ]] || tag="varserve:$version-$flavour"
  arguments=(--build-arg "FLAVOUR=$flavour" --build-arg "MODEL=$model" --build-arg "VERSION=$version"
    --build-arg "REVISION=$(git -C "$ROOT" describe --always --dirty 2>/dev/null || echo unknown)" --tag "$tag")
  if [[ -n $ca ]]; then
    [[ -r $ca ]] || die "image: --ca: cannot read $ca"
    arguments+=(--secret "id=ca,src=$ca" --build-arg "CA=$(sha256sum "$ca" | cut -c1-12)")
  fi

  say "building $tag with $builder"
  if [[ $builder == docker ]]; then
    docker build "${arguments[@]}" "$ROOT"
  else
    [[ $EUID -eq 0 ]] || die "image: no Docker daemon answers, and buildah has to be root here; try sudo ./dev image"
    ensure_packages "$ROOT/scripts/packages-image.txt"
    ensure_base_image
    # Docker's format: OCI's has no HEALTHCHECK. The network of the machine: its proxies are reachable.
    TMPDIR="$CACHE/image" in_buildah bud --format docker --isolation chroot --network host --layers --build-arg "BASE=$BASE_IMAGE" \
      "${arguments[@]}" "$ROOT"
  fi
  say "$tag: $(image_size "$builder" "$tag")"
  try_image "$builder" "$tag" "$model"
  [[ -z $save ]] || save_image "$builder" "$tag" "$save"
}

image_size() {
  if [[ $1 == docker ]]; then
    docker image inspect --format '{{.Size}}' "$2"
  else
    in_buildah images --json "$2" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["size"])'
  fi
}

save_image() {
  rm -f "$3"
  if [[ $1 == docker ]]; then
    docker save --output "$3" "$2"
  else
    in_buildah push --quiet "$2" "docker-archive:$3:$2" >/dev/null
  fi
  say "saved to $3"
}

# try_image BUILDER IMAGE MODEL: runs the demo in it.
try_image() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  [[ $3 == embedded ]] || ensure_embedded_model
  say "starting $2"
  run_image "$@" "$port"
  "${IMAGE[@]}" varserve health --address "localhost:$port" --retry 60 --timeout 300 || {
    cat "$IMAGE_LOG" >&2
    die "image: the server in it did not get ready"
  }
  show_demo "localhost:$port" /demo "${IMAGE[@]}" varserve
  stop_image
}
