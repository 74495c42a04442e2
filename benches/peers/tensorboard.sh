#!/usr/bin/env bash
# Times our reader of TensorBoard files against TensorBoard's own loaders, and against what cannot be avoided (reading the
# bytes, their checksums), on one file, in one run; for scalars as PyTorch writes them and as TensorFlow 2 does.
# Usage: benches/peers/tensorboard.sh [scalars, default 1000000] [directory of the venv, default ./target/tb-venv;
# `-` leaves TensorBoard out, which takes about 100 s for each million scalars]
# Where the machine is shared: `chrt -f 10 benches/peers/tensorboard.sh`. 10,000,000 scalars are 0.6 GB in TMPDIR.
set -euo pipefail
n=${1:-1000000}
venv=${2:-./target/tb-venv}
here=$(dirname "$0")
if [ "$venv" != - ] && [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --upgrade pip
    "$venv/bin/pip" install --quiet tensorboard
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bench() { cargo bench --quiet -p ontogeny_import --bench tfevents -- "$@"; }
for how in write write-tensors; do
    file="$dir/events.out.tfevents.1700000000.bench"
    bench "$how" "$file" "$n"
    for _ in 1 2 3; do
        bench read "$file"
        bench bounds "$file"
    done >"$dir/ours"
    if [ "$venv" = - ]; then
        echo "$how"
        cat "$dir/ours"
        continue
    fi
    "$venv/bin/python" "$here/tensorboard_loader.py" "$file" "$dir/ours" "$how"
done
