"""Bounds of margins by auto_LiRPA: the reference of ontogeny_probes/tests/fixtures/lirpa.json, and their cost.

lirpa_bounds.py fixture <file>   a small network, its bounds by intervals and by CROWN with interval bounds between
lirpa_bounds.py time [images]    seconds for the small network of Gowal et al. on images of 28 by 28, one thread

It needs the environment of certified_step.py, which lies beside it.
"""

import json
import sys
import time

import numpy as np
import torch
from certified_step import import_auto_lirpa
from torch import nn

import_auto_lirpa()
from auto_LiRPA import BoundedModule, BoundedTensor
from auto_LiRPA.perturbations import PerturbationLpNorm

# What compute_bounds calls the two methods.
METHODS = {"ibp": None, "crown": "backward"}


def margins(targets, classes):
    """One row for each wrong class: the right logit less that one."""
    rows = []
    for y in targets.tolist():
        wrong = [j for j in range(classes) if j != y]
        c = torch.zeros(len(wrong), classes)
        c[:, y] = 1.0
        for row, j in enumerate(wrong):
            c[row, j] = -1.0
        rows.append(c)
    return torch.stack(rows)


def bound(net, x, y, eps, classes, methods=("ibp", "crown")):
    bounded = BoundedModule(net, x, bound_opts={"relu": "adaptive"})
    low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    box = BoundedTensor(x, PerturbationLpNorm(norm=np.inf, eps=eps, x_L=low, x_U=high))
    out = {}
    for name in methods:
        with torch.no_grad():
            bounded(box)
            lower, _ = bounded.compute_bounds(
                x=(box,), IBP=True, C=margins(y, classes).to(x.dtype), method=METHODS[name], bound_upper=False
            )
        out[name] = lower.min(dim=1).values
    return out


def fixture(path):
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 4, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 5),
    )
    # The weights are those that f32 holds; the bounds are computed in f64.
    for p in net.parameters():
        p.data = p.data.float().double()
    x = torch.rand(6, 1, 8, 8).float().double()
    y = net(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 5
    flat = lambda t: [float(v) for v in t.reshape(-1)]
    params = {}
    names = {"0": "conv.0", "2": "conv.1", "5": "hidden", "7": "out"}
    for name, p in net.named_parameters():
        layer, kind = name.split(".")
        p = p.data.t() if p.dim() == 2 else p.data
        params[f"{names[layer]}.{'w' if kind == 'weight' else 'b'}"] = {
            "shape": list(p.shape), "values": flat(p)
        }
    cases = []
    for eps in (0.0, 0.01, 0.05, 0.2):
        found = bound(net, x, y, eps, 5)
        cases.append({"eps": eps, "ibp": flat(found["ibp"]), "crown": flat(found["crown"])})
    with open(path, "w") as f:
        json.dump({"x": flat(x), "y": y.tolist(), "params": params, "cases": cases}, f)


def cost(n):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        net = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(2048, 100), nn.ReLU(), nn.Linear(100, 10),
        )
        x, y = torch.rand(n, 1, 28, 28), torch.arange(n) % 10
        # Batches as large as it does well with.
        for batch in (16, 64):
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                for at in range(0, n, batch):
                    bound(net, x[at:at + batch], y[at:at + batch], 0.1, 10, ("crown",))
                seconds.append(time.perf_counter() - start)
            print(f"{dtype} batches of {batch}: {sorted(seconds)[1]:.2f} s for {n} images (median of 3)")


if __name__ == "__main__":
    if sys.argv[1] == "fixture":
        fixture(sys.argv[2])
    else:
        cost(int(sys.argv[2]) if len(sys.argv) > 2 else 128)
