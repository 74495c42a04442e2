#!/usr/bin/env bash
# Times our reader of TensorBoard files against TensorBoard's own loader, on one file, in one run.
# Usage: benches/peers/tensorboard.sh [scalars, default 1000000] [directory of the venv, default ./target/tb-venv]
set -euo pipefail
n=${1:-1000000}
venv=${2:-./target/tb-venv}
here=$(dirname "$0")
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --upgrade pip
    "$venv/bin/pip" install --quiet tensorboard
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
file="$dir/events.out.tfevents.1700000000.bench"
cargo bench --quiet -p ontogeny_import --bench tfevents -- write "$file" "$n"
ours=$(cargo bench --quiet -p ontogeny_import --bench tfevents -- read "$file")
"$venv/bin/python" "$here/tensorboard_loader.py" "$file" "$ours"
