#!/usr/bin/env bash
# Dense series of checkpoints: our bytes and speed beside those of zipnn, zstd and pcodec, on the same files.
#
#   benches/peers/series.sh [CHECKPOINTS.tar] [TEXT]
#
# Needs the environment of benches/peers/install.sh; installs zipnn, zstandard and pcodec into it. The tar holds
# PyTorch state dictionaries `epoch_<n>.pt`; without it the series made here are measured alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${VENV:-target/peers-venv}
out=${OUT:-target/series}
"$venv/bin/pip" install --quiet zipnn zstandard pcodec
[ -e "$out/lm-late/layout.json" ] || "$venv/bin/python" benches/peers/series.py make "$out" "${1:-}" ${2:+"$2"}
"$venv/bin/python" -W ignore benches/peers/series.py measure "$out"/*/
"$venv/bin/python" -W ignore benches/peers/series.py floor "$out"/*/
memory=$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)
TMPDIR=$memory cargo bench --quiet -p ontogeny_store --bench series -- "$PWD/$out"/*/
