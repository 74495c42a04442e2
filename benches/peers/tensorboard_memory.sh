#!/usr/bin/env bash
# Reads an event file larger than memory should ever hold and prints the largest resident set; and how fast it goes,
# beside reading the same bytes and doing nothing with them: from the disk, and from memory where the file fits there.
# Usage: benches/peers/tensorboard_memory.sh [scalars, default 180000000: 10 GB] [folder for it, default a temporary one]
set -euo pipefail
n=${1:-180000000}
dir=$(mktemp -d ${2:+-p "$2"})
trap 'rm -rf "$dir"' EXIT
file="$dir/events.out.tfevents.1700000000.bench"
bench() { cargo bench --quiet -p ontogeny_import --bench tfevents -- "$@"; }
# Tells the system to forget what it holds of the file.
forget() { dd if="$file" iflag=nocache count=0 status=none; }
bench write "$file" "$n"
sync "$file"
for _ in 1 2; do
    forget
    echo "from disk: dd"
    dd if="$file" of=/dev/null bs=256K 2>&1 | tail -n 1
    forget
    echo "from disk: read"
    bench read "$file" 1
done
echo "from memory, if it fits"
bench bounds "$file"
bench read "$file" 3
