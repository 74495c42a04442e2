"""The engine's benchmark models in PyTorch, eager, timed on request.

Reads lines "<case> <steps>" and answers each with a JSON list of milliseconds per training step
(forward, backward, AdamW, reading the loss). The first request for a case builds and warms it up.
Usage: torch_step.py <threads>
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def normal(*shape):
    fan_in = shape[0] if len(shape) == 2 else math.prod(shape[1:])
    return nn.Parameter(torch.randn(*shape) / math.sqrt(fan_in))


class Grokking(nn.Module):
    """One layer, no layer norm (Nanda et al. 2023). `last`: query and MLP at the last position only."""

    def __init__(self, p, d, mlp, classes, last):
        super().__init__()
        self.last = last
        self.we, self.wp = normal(p + 1, d), normal(3, d)
        self.wq, self.wk, self.wv, self.wo = (normal(d, d) for _ in range(4))
        self.w1, self.b1 = normal(d, mlp), nn.Parameter(torch.zeros(mlp))
        self.w2, self.b2 = normal(mlp, d), nn.Parameter(torch.zeros(d))
        self.wu = normal(d, classes)
        mask = torch.triu(torch.full((3, 3), float("-inf")), 1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        n, t = x.shape
        h = F.embedding(x, self.we) + self.wp
        d, heads = h.shape[-1], 4
        split = lambda y: y.view(n, -1, heads, d // heads).transpose(1, 2)
        read = h[:, -1:] if self.last else h
        q, k, v = split(read @ self.wq), split(h @ self.wk), split(h @ self.wv)
        a = q @ k.transpose(-1, -2) / math.sqrt(d // heads)
        if not self.last:
            a = a + self.mask
        z = (a.softmax(-1) @ v).transpose(1, 2).reshape(n, -1, d)
        h = read + z @ self.wo
        h = h + F.relu(h @ self.w1 + self.b1) @ self.w2 + self.b2
        return h[:, -1] @ self.wu


class Block(nn.Module):
    """Pre-LN block with a materialised pattern and exact GELU."""

    def __init__(self, d, heads, mlp):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.f1, self.f2 = nn.Linear(d, mlp), nn.Linear(mlp, d)

    def forward(self, x, mask):
        n, t, d = x.shape
        u = self.ln1(x)
        split = lambda y: y.view(n, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = split(self.q(u)), split(self.k(u)), split(self.v(u))
        a = (q @ k.transpose(-1, -2) * (1 / math.sqrt(d // self.heads)) + mask).softmax(-1)
        x = x + self.o((a @ v).transpose(1, 2).reshape(n, t, d))
        return x + self.f2(F.gelu(self.f1(self.ln2(x))))


class Decoder(nn.Module):
    def __init__(self, vocab=256, t=128, d=128, layers=2):
        super().__init__()
        self.te = nn.Parameter(torch.randn(vocab, d) * 0.02)
        self.pe = nn.Parameter(torch.randn(t, d) * 0.02)
        self.blocks = nn.ModuleList([Block(d, 4, 512) for _ in range(layers)])
        self.lnf, self.head = nn.LayerNorm(d), nn.Linear(d, vocab, bias=False)
        mask = torch.triu(torch.full((t, t), float("-inf")), 1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        h = F.embedding(x, self.te) + self.pe
        for block in self.blocks:
            h = block(h, self.mask)
        return self.head(self.lnf(h)).flatten(0, 1)


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 16, 3, padding=1)
        self.c2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.f1, self.f2 = nn.Linear(32 * 14 * 14, 100), nn.Linear(100, 10)

    def forward(self, x):
        x = F.relu(self.c2(F.relu(self.c1(x))))
        return self.f2(F.relu(self.f1(x.flatten(1))))


def mlp(*widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def pairs(p, n):
    chosen = torch.randperm(p * p)[:n]
    a, b = chosen // p, chosen % p
    return torch.stack([a, b, torch.full_like(a, p)], 1), (a + b) % p


def make(case):
    """The model, its inputs, its targets, weight decay and the second beta."""
    torch.manual_seed(0)
    if case in ("A", "A_last"):
        return Grokking(113, 128, 512, 114, case == "A_last"), *pairs(113, 3830), 1.0, 0.98
    if case == "grok_cpu":
        return Grokking(53, 64, 256, 53, True), *pairs(53, 1264), 1.0, 0.98
    if case == "micro":
        return Grokking(31, 48, 192, 31, True), *pairs(31, 576), 1.0, 0.98
    if case == "B":
        text = torch.randint(0, 256, (16, 129))
        return Decoder(), text[:, :-1].contiguous(), text[:, 1:].reshape(-1), 0.1, 0.999
    if case == "parity":
        return mlp(40, 256, 2), torch.randn(1024, 40), torch.randint(0, 2, (1024,)), 0.01, 0.999
    digits = torch.randint(0, 10, (128,))
    if case == "C":
        return Conv(), torch.randn(128, 1, 28, 28), digits, 0.01, 0.999
    return mlp(784, 512, 512, 10), torch.randn(128, 784), digits, 0.01, 0.999


def stepper(case):
    model, x, y, weight_decay, beta2 = make(case)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, weight_decay=weight_decay, betas=(0.9, beta2)
    )

    def step():
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()
        return (time.perf_counter() - start) * 1e3

    for _ in range(5):
        step()
    return step


def main():
    torch.set_num_threads(int(sys.argv[1]))
    steppers = {}
    for line in sys.stdin:
        case, steps = line.split()
        if case not in steppers:
            steppers[case] = stepper(case)
        print(json.dumps([steppers[case]() for _ in range(int(steps))]), flush=True)


main()
