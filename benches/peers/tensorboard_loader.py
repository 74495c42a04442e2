"""Reads an event file with TensorBoard's EventFileLoader, and says how many times longer that takes.

Usage: tensorboard_loader.py FILE OURS, where OURS is the JSON line that `bench tfevents read` prints.
The file is also read as plain bytes, to say how far each is from the speed of memory.
"""

import json
import sys
import time

import tensorboard
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util


def main() -> None:
    path, ours = sys.argv[1], json.loads(sys.argv[2])
    began = time.perf_counter()
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass
    memory = time.perf_counter() - began
    began = time.perf_counter()
    n, total = 0, 0.0
    for event in EventFileLoader(path).Load():
        for value in event.summary.value:
            total += float(tensor_util.make_ndarray(value.tensor))
            n += 1
    theirs = time.perf_counter() - began
    assert n == ours["n"], (n, ours)
    print(
        json.dumps(
            {
                "tensorboard": tensorboard.__version__,
                "scalars": n,
                "megabytes": ours["n_bytes"] / 1e6,
                "ours_secs": ours["secs"],
                "theirs_secs": theirs,
                "ratio": theirs / ours["secs"],
                "read_only_secs": memory,
                "ours_mb_per_sec": ours["n_bytes"] / 1e6 / ours["secs"],
            }
        )
    )


if __name__ == "__main__":
    main()
