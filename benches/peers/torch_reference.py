"""Writes the reference that the engine's tests compare with: losses, gradients and updates by PyTorch.

Four small models whose weights and data follow from formulas, so the fixture holds results only. Computed
in double precision. Usage: torch_reference.py > crates/ontogeny_engine/tests/fixtures/torch.json
"""

import json
import math
import sys

import torch
import torch.nn.functional as F


def chirp(n, scale):
    """The formula of weights and inputs: scale * sin(0.37 i^2 + i), rounded to single precision."""
    i = torch.arange(n, dtype=torch.float64)
    return (scale * torch.sin(0.37 * i * i + i)).float().double()


def params(shapes):
    """Named leaves cut from one flat chirp, in order."""
    total = sum(math.prod(s) for s in shapes.values())
    flat, leaves = chirp(total, 0.4), {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        leaves[name], flat = flat[:n].reshape(shape).clone().requires_grad_(), flat[n:]
    return leaves


def tokens(n, n_ctx, vocab):
    i = torch.arange(n * n_ctx)
    return ((i * i * 7 + i * 3) % vocab).reshape(n, n_ctx)


def targets(n, classes):
    i = torch.arange(n)
    return (i * i * 5 + 2 * i) % classes


def attention(q, k, v, heads, relative=None):
    n, t, d = q.shape
    split = lambda x: x.reshape(n, t, heads, d // heads).transpose(1, 2)
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2)
    if relative is not None:
        r = relative[:t].reshape(t, heads, d // heads)
        distance = (torch.arange(t)[:, None] - torch.arange(t)[None, :]).clamp(min=0)
        scores = scores + torch.einsum("nhid,ijhd->nhij", q, r[distance])
    mask = torch.triu(torch.full((t, t), float("-inf"), dtype=torch.float64), 1)
    a = (scores / math.sqrt(d // heads) + mask).softmax(-1)
    return (a @ v).transpose(1, 2).reshape(n, t, d)


def grokking():
    shapes = dict(we=(12, 16), wp=(3, 16), wq=(16, 16), wk=(16, 16), wv=(16, 16), wo=(16, 16))
    shapes |= dict(w1=(16, 32), b1=(32,), w2=(32, 16), b2=(16,), wu=(16, 11))
    x, y = tokens(20, 3, 12), targets(20, 11)

    def forward(p):
        h = p["we"][x] + p["wp"]
        h = h + attention(h @ p["wq"], h @ p["wk"], h @ p["wv"], 4) @ p["wo"]
        h = h + F.relu(h @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return h[:, -1] @ p["wu"]

    return shapes, forward, y


def decoder():
    shapes = dict(te=(13, 8), rel=(72, 8), g1=(8,), c1=(8,), wq=(8, 8), wk=(8, 8), wv=(8, 8))
    shapes |= dict(wo=(8, 8), bo=(8,), g2=(8,), c2=(8,), w1=(8, 20), b1=(20,), w2=(20, 8), b2=(8,))
    x, y = tokens(4, 20, 13), targets(80, 13)

    def forward(p):
        h = p["te"][x]
        u = F.layer_norm(h, (8,), p["g1"], p["c1"], 1e-5)
        z = attention(u @ p["wq"], u @ p["wk"], u @ p["wv"], 2, p["rel"])
        h = h + z @ p["wo"] + p["bo"]
        u = F.layer_norm(h, (8,), p["g2"], p["c2"], 1e-5)
        h = h + F.gelu(u @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return (h @ p["te"].T).flatten(0, 1)

    return shapes, forward, y


def conv():
    shapes = dict(c1=(4, 2, 3, 3), d1=(4,), c2=(6, 4, 3, 3), d2=(6,), w=(6, 3), b=(3,))
    x, y = chirp(8 * 2 * 6 * 6, 1.0).reshape(8, 2, 6, 6), targets(8, 3)

    def forward(p):
        h = F.relu(F.conv2d(x, p["c1"], p["d1"], padding=1))
        h = torch.tanh(F.conv2d(h, p["c2"], p["d2"], stride=2, padding=1))
        return F.max_pool2d(h, 2, 1).mean((2, 3)) @ p["w"] + p["b"]

    return shapes, forward, y


def mlp():
    shapes = dict(w1=(20, 16), b1=(16,), w2=(16, 16), b2=(16,), w3=(16, 4))
    x, y = chirp(30 * 20, 1.0).reshape(30, 20), targets(30, 4)

    def forward(p):
        h = F.relu(x @ p["w1"] + p["b1"])
        return F.relu(h @ p["w2"] + p["b2"]) @ p["w3"]

    return shapes, forward, y


def model(shapes, forward, y):
    """Loss and gradient at the start, and the losses of ten AdamW steps."""
    p = params(shapes)
    optimizer = torch.optim.AdamW(p.values(), lr=1e-2, weight_decay=0.5, betas=(0.9, 0.98))
    losses, grad = [], None
    for step in range(10):
        optimizer.zero_grad()
        logits = forward(p)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        if step == 0:
            grad = [round(g, 9) for v in p.values() for g in v.grad.flatten().tolist()]
            one_hot = F.one_hot(y, logits.shape[1]).double()
            mse = F.mse_loss(logits, one_hot).item()
            n_correct = int((logits.argmax(1) == y).sum())
        losses.append(loss.item())
        optimizer.step()
    return dict(losses=losses, mse=mse, n_correct=n_correct, grad=grad)


def optimizer(make):
    """Eight scalars after four updates with gradients chirp(4 * 8), single precision."""
    p = chirp(8, 1.0).float().requires_grad_()
    o, grads = make([p]), chirp(32, 0.5).float().reshape(4, 8)
    for g in grads:
        p.grad = g.clone()
        o.step()
    return p.tolist()


def main():
    o = torch.optim
    out = dict(
        torch=torch.__version__,
        models=dict(
            grokking=model(*grokking()),
            decoder=model(*decoder()),
            conv=model(*conv()),
            mlp=model(*mlp()),
        ),
        optimizers=dict(
            adamw=optimizer(lambda p: o.AdamW(p, lr=0.01, weight_decay=0.3, betas=(0.9, 0.98))),
            adam=optimizer(lambda p: o.Adam(p, lr=0.01, weight_decay=0.3, betas=(0.9, 0.98))),
            sgd=optimizer(lambda p: o.SGD(p, lr=0.1, weight_decay=0.3)),
            momentum=optimizer(lambda p: o.SGD(p, lr=0.1, weight_decay=0.3, momentum=0.8)),
        ),
    )
    json.dump(out, sys.stdout, separators=(",", ":"))


main()
