"""Trains small networks on the digits of scikit-learn and logs them for TensorBoard: something to import.

    pip install torch tensorboard scikit-learn
    python examples/tensorboard_runs.py logs                   # 16 finished runs and one that stands at 30 %
    python examples/tensorboard_runs.py logs --finish          # lets that one go on to its end

Every run has its own learning rate, weight decay, width and seed (the first three from a fixed list of random numbers).
"""

import argparse
import random
import shutil
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.utils.tensorboard import SummaryWriter

STEPS, EVERY = 3000, 30


def data():
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:900]], y[order[:900]], x[order[900:]], y[order[900:]]


def train(folder, seed, steps):
    draw = random.Random(seed)
    lr, decay, width = 10 ** draw.uniform(-3.5, -2), 10 ** draw.uniform(-3, 0), draw.choice([16, 32, 64, 128])
    torch.manual_seed(seed)
    x, y, test_x, test_y = data()
    net = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay)
    loss_of = torch.nn.CrossEntropyLoss()
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(folder) as log:
        for step in range(steps + 1):
            if step % EVERY == 0:
                with torch.no_grad():
                    logits = net(test_x)
                    log.add_scalar("test/loss", loss_of(logits, test_y), step)
                    log.add_scalar("test/accuracy", (logits.argmax(1) == test_y).float().mean(), step)
                    norm = sum(p.square().sum() for p in net.parameters()).sqrt()
                    log.add_scalar("weights/norm", norm, step)
            batch = torch.randint(len(x), (32,))
            loss = loss_of(net(x[batch]), y[batch])
            if step % EVERY == 0:
                log.add_scalar("train/loss", loss, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--finish", action="store_true", help="train the last run to its end")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.finish:
        train(args.folder / "live", 16, STEPS)
    else:
        for seed in range(16):
            train(args.folder / f"run-{seed:02}", seed, STEPS)
        train(args.folder / "live", 16, STEPS * 3 // 10)
