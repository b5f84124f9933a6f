# Sourced by ../dev: the demo, its test and the picture of its explain page.

DEMO_PAGE="$ROOT/build/demo/explain.html"

# show_demo ADDRESS PICTURES CLIENT...: CLIENT asks the server at ADDRESS about the pictures, which it finds in the folder
# PICTURES. Writes DEMO_PAGE. Fails if an answer is wrong.
show_demo() {
  python3 "$ROOT/scripts/demo.py" --address "$1" --pictures "$2" --page "$DEMO_PAGE" -- "${@:3}"
}

# test_demo BUILD MODEL: every answer of the demo, and the page it writes.
test_demo() {
  local BUILD=$1
  say "testing the demo"
  start_server --model "$2" --model_name embedded
  VARSERVE_CLIENT="$BUILD/bin/varserve" VARSERVE_ADDRESS="$ADDRESS" \
    python3 -m unittest discover --start-directory "$ROOT/tests/demo"
  stop_server
}

# draw_demo_page: the top of DEMO_PAGE as docs/images/explain.png.
draw_demo_page() {
  local flags=(--headless --disable-gpu --hide-scrollbars "--window-size=1100,1050") picture="$ROOT/docs/images/explain.png"
  ensure_packages <(echo "chromium fonts-dejavu-core")
  [[ $EUID -ne 0 ]] || flags+=(--no-sandbox) # Chromium's sandbox does not start as root
  chromium "${flags[@]}" --screenshot="$picture" "file://$DEMO_PAGE" >/dev/null 2>&1 || die "demo: chromium failed"
  say "wrote docs/images/explain.png"
}
