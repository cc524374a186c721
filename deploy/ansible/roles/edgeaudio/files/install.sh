#!/bin/sh
# Make /opt/edgeaudio/VERSION of what lies in /opt/edgeaudio/.incoming: requirements, and wheels. Ends with all of the
# version or nothing of it, and without what came.
# usage: install.sh VERSION PYTHON index|wheels
set -eu
incoming=/opt/edgeaudio/.incoming
target=/opt/edgeaudio/$1
trap 'status=$?; [ "$status" = 0 ] || rm -rf "$target"; rm -rf "$incoming"; exit "$status"' EXIT
trap 'exit 1' HUP INT TERM
# /tmp may be in memory, and too small
export TMPDIR="$incoming/tmp"
mkdir -p "$TMPDIR" "$incoming/wheels"

rm -rf "$target"
"$2" -m venv "$target"
set -- "$1" "$3"
pip() { "$target/bin/pip" --quiet --disable-pip-version-check --no-input "$@"; }
sources="--find-links $incoming/wheels"
if [ "$2" = wheels ]; then sources="$sources --no-index"; fi
for list in "$incoming"/*-unhashed.txt; do
  # shellcheck disable=SC2086  # words
  if [ -e "$list" ]; then pip install $sources --no-deps --only-binary=:all: --requirement "$list"; rm "$list"; fi
done
# shellcheck disable=SC2086
pip install $sources --no-deps --only-binary=:all: --require-hashes --requirement "$incoming"/*.txt
# shellcheck disable=SC2086
pip install $sources --no-deps --only-binary=:all: "edgeaudio==$1"
# without a TFLite runtime this fails, and says so
"$target/bin/edgeaudio" model inspect home >/dev/null
# whole after a power cut too: the mark is not on the disk before all that it stands for
sync -f "$target"
touch "$target/.installed"
