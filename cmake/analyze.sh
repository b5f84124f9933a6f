#!/bin/bash
# analyze.sh CLANG ARGUMENT...: checks a file and leaves an empty object, or compiles a precompiled header.
set -euo pipefail
if [[ " $* " == *" -emit-pch "* ]]; then
  exec "$@"
fi
"$@" -fsyntax-only
while [[ $1 != -o ]]; do shift; done
: >"$2"
