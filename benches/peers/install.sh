#!/usr/bin/env bash
# Creates a virtual environment with PyTorch for the paired benchmarks and the reference script.
# Usage: benches/peers/install.sh [directory, default ./target/peers-venv]
set -euo pipefail
venv=${1:-./target/peers-venv}
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --upgrade pip
# Linux wheels on PyPI carry CUDA; only their CPU part is used here.
"$venv/bin/pip" install --quiet torch numpy
"$venv/bin/python" -c 'import torch; print("torch", torch.__version__, "in", "'"$venv"'")'
