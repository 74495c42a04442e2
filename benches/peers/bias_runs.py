"""Runs per minute of the bias study's training loop in PyTorch eager: two processes, one thread each.

The same model (48 numbers in, two hidden layers, two classes), batch 128, SGD with momentum .9, 2,000 updates, batches
gathered from a table of 4,096 examples. Nothing is evaluated or recorded. `python bias_runs.py` prints one line for each
width; the counterpart is `cargo run --release -p ontogeny_train --example time_two_block`.
"""

import multiprocessing
import time

import torch

UPDATES, RUNS = 2000, 3


def one(width: int) -> float:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4096, 48, generator=generator)
    y = (x[:, 0] > 0).long()
    layers = [torch.nn.Linear(48, width), torch.nn.ReLU(), torch.nn.Linear(width, width)]
    net = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(width, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    began = time.perf_counter()
    for _ in range(UPDATES):
        rows = torch.randint(0, 4096, (128,), generator=generator)
        loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(one, [16, 16])
        for width in (16, 32, 64, 128):
            began = time.perf_counter()
            each = sorted(pool.map(one, [width] * (2 * RUNS), chunksize=1))
            wall = time.perf_counter() - began
            median = each[len(each) // 2]
            print(f"width {width:3}: {median:.2f} s a run, {60 * 2 * RUNS / wall:.0f} runs a minute")
