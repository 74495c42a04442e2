"""A step of certified training in PyTorch on one thread, timed on request.

Reads lines "<case> <steps>" and answers each with a JSON list of milliseconds per step (bounds, loss, gradient, Adam, reading
the loss); the first answer for a case is its loss instead. Cases: ibp_mlp, ibp_cnn, crown_mlp, crown_cnn.
Usage: certified_step.py auto_lirpa|eager

`auto_lirpa` is the release on PyPI (0.3), which needs torch 2.0.1 and the repairs below to run at all; `eager` is the same
arithmetic written out: centres and radii, and for the linear bounds nothing.
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)
BATCH, EPS, CLASSES = 128, 0.1, 10


def number(stream, n):
    v = np.sin(np.arange(n, dtype=np.float64) * 12.9898 + stream * 78.233) * 43758.5453
    return v - np.floor(v)


def network(case):
    if case.endswith("cnn"):
        net = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(800, 100), nn.ReLU(), nn.Linear(100, 10),
        )
    else:
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
    with torch.no_grad():
        for p, w in enumerate(net.parameters()):
            if w.dim() == 1:
                w.zero_()
                continue
            fan_in = math.prod(w.shape[1:])
            v = math.sqrt(6.0 / fan_in) * (2.0 * number(p, w.numel()) - 1.0)
            v = torch.from_numpy(v.astype(np.float32))
            # Matrices are numbered with a row for each input.
            w.copy_(v.view(w.shape) if w.dim() == 4 else v.view(w.shape[1], w.shape[0]).t())
    return net


def margins_matrix(y):
    """Rows e_y - e_j for j != y: [n, 9, 10]."""
    eye = torch.eye(CLASSES)
    c = eye[y].unsqueeze(1) - eye.unsqueeze(0)
    keep = ~(y.unsqueeze(1) == torch.arange(CLASSES).unsqueeze(0))
    return c[keep].view(len(y), CLASSES - 1, CLASSES)


def certified_loss(logits, margins, y):
    bounds = torch.cat([torch.zeros(len(y), 1), -margins], 1)
    zeros = torch.zeros(len(y), dtype=torch.long)
    return 0.5 * F.cross_entropy(logits, y) + 0.5 * F.cross_entropy(bounds, zeros)


def eager_margins(net, low, high, c):
    mid, rad = (low + high) / 2, (high - low) / 2
    layers = list(net)
    for layer in layers[:-1]:
        if isinstance(layer, nn.Conv2d):
            mid = layer(mid)
            rad = F.conv2d(rad, layer.weight.abs(), stride=layer.stride)
        elif isinstance(layer, nn.Linear):
            mid, rad = layer(mid), F.linear(rad, layer.weight.abs())
        elif isinstance(layer, nn.ReLU):
            l, u = F.relu(mid - rad), F.relu(mid + rad)
            mid, rad = (l + u) / 2, (u - l) / 2
        else:
            mid, rad = layer(mid), layer(rad)
    last = layers[-1]
    w, b = c @ last.weight, c @ last.bias
    return (w @ mid.unsqueeze(2) - w.abs() @ rad.unsqueeze(2)).squeeze(2) + b


class Peer:
    def __init__(self, case, kind):
        self.net = network(case)
        self.x = torch.from_numpy(number(99, BATCH * 784).astype(np.float32)).view(BATCH, 1, 28, 28)
        self.y = torch.arange(BATCH) % CLASSES
        self.low, self.high = (self.x - EPS).clamp(min=0), (self.x + EPS).clamp(max=1)
        if kind == "eager":
            assert case.startswith("ibp"), "linear bounds are auto_lirpa's alone"
            parameters, self.bounds = self.net.parameters(), self.eager
        else:
            import_auto_lirpa()
            from auto_LiRPA import BoundedModule, BoundedTensor
            from auto_LiRPA.perturbations import PerturbationLpNorm

            self.model = BoundedModule(self.net, torch.zeros_like(self.x[:1]))
            self.method = None if case.startswith("ibp") else "backward"
            self.box = lambda: BoundedTensor(
                self.x, PerturbationLpNorm(norm=np.inf, eps=EPS, x_L=self.low, x_U=self.high)
            )
            parameters, self.bounds = self.model.parameters(), self.auto_lirpa
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0)

    def eager(self):
        return self.net(self.x), eager_margins(self.net, self.low, self.high, margins_matrix(self.y))

    def auto_lirpa(self):
        box = self.box()
        logits = self.model(box)
        low, _ = self.model.compute_bounds(
            x=(box,), IBP=True, C=margins_matrix(self.y), method=self.method, bound_upper=False
        )
        return logits, low

    def step(self):
        self.optimizer.zero_grad()
        logits, margins = self.bounds()
        loss = certified_loss(logits, margins, self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def import_auto_lirpa():
    import torch.onnx.symbolic_helper as helper
    from torch.onnx._globals import GLOBALS

    # What auto_LiRPA 0.3 (2022) calls, or is called with, and torch 2.0.1 has changed.
    helper._set_opset_version = lambda v: setattr(GLOBALS, "export_onnx_opset_version", v)
    torch._C.Node.__getitem__ = lambda node, key: getattr(node, node.kindOf(key))(key)
    from auto_LiRPA import BoundedModule

    members = BoundedModule._named_members
    BoundedModule._named_members = lambda self, *args, remove_duplicate=True, **more: members(self, *args, **more)


def main():
    peers = {}
    for line in sys.stdin:
        case, steps = line.split()
        if case not in peers:
            peers[case] = Peer(case, sys.argv[1])
            times = [peers[case].step()]
        else:
            times = []
            for _ in range(int(steps)):
                start = time.perf_counter()
                peers[case].step()
                times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps(times), flush=True)


main()
