"""Reads an event file with TensorBoard's own loaders, and says how many times longer that takes.

Usage: tensorboard_loader.py FILE OURS [LABEL], where OURS holds the JSON lines that `bench tfevents read` and
`bench tfevents bounds` printed, in turns; of several turns the fastest counts. TensorBoard's side, once each:
`EventFileLoader` with the value of every scalar taken out, and `EventAccumulator` told to keep everything.
Both use its own reader in Python, as they do wherever TensorFlow is not installed.
"""

import json
import sys
import time

import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util


def loader(path: str) -> tuple[float, int]:
    """Seconds and scalars of the loader of files."""
    began = time.perf_counter()
    n, total = 0, 0.0
    for event in EventFileLoader(path).Load():
        for value in event.summary.value:
            total += float(tensor_util.make_ndarray(value.tensor))
            n += 1
    return time.perf_counter() - began, n


def accumulator(path: str) -> tuple[float, int]:
    """Seconds and scalars of what notebooks use."""
    began = time.perf_counter()
    events = EventAccumulator(path, size_guidance={"scalars": 0, "tensors": 0}).Reload()
    tags = events.Tags()
    n = sum(len(events.Tensors(tag)) for tag in tags["tensors"])
    n += sum(len(events.Scalars(tag)) for tag in tags["scalars"])
    return time.perf_counter() - began, n


def main() -> None:
    path = sys.argv[1]
    turns = [json.loads(line) for line in open(sys.argv[2])]

    def least(key: str) -> float | None:
        values = [turn[key] for turn in turns if turn.get(key) is not None]
        return min(values, default=None)

    ours, n, n_bytes = least("secs"), least("n"), least("n_bytes")
    result = {
        "label": sys.argv[3] if len(sys.argv) > 3 else "",
        "tensorboard": tensorboard.__version__,
        "scalars": n,
        "megabytes": n_bytes / 1e6,
        "ours_secs": ours,
        "ours_mb_per_sec": n_bytes / 1e6 / ours,
        "ours_scalars_per_sec": n / ours,
        "ours_peak_memory_mb": least("peak_memory_mb"),
        "read_only_secs": least("read_secs"),
        "crc_of_records_secs": least("crc_of_records_secs"),
        "crc_of_whole_secs": least("crc_of_whole_secs"),
    }
    for name, read in [("loader", loader), ("accumulator", accumulator)]:
        secs, n_read = read(path)
        assert n_read == n, (name, n_read, n)
        result |= {f"{name}_secs": secs, f"{name}_ratio": secs / ours}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
