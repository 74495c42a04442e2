"""Makes dense series of checkpoints, and measures what others make of them.

series.py make FOLDER [CHECKPOINTS.tar] [TEXT]   grok, grok-late, lm, lm-late (and fixture, from a tar of .pt files)
series.py measure FOLDER...               zipnn, zstd -3 and pcodec, one core, bytes per checkpoint
series.py floor FOLDER...                 entropy of what is new, by predictor, at every fifth checkpoint

grok: a transformer of one layer (d = 64) on addition modulo 53, full batch, AdamW (lr 1e-3, weight decay 1, betas 0.9
and 0.98), at every 10th step from step 0, and from step 2000. lm: two layers (d = 128) on a text (the licence
of this repository, if none is given), 16 x 64 characters, AdamW (lr 1e-3, weight decay 0.1, betas 0.9 and 0.999), likewise from 0 and 1500.
Needs torch for `make`, zipnn, zstandard and pcodec for `measure`.
"""

import json
import math
import pathlib
import re
import sys
import tarfile
import time


def make_model(torch, vocab, d, layers, heads, context):
    nn, f = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
            self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            a = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(b, t, d))
            return x + self.down(torch.relu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.position = nn.Embedding(vocab, d), nn.Embedding(context, d)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.unembed = nn.Linear(d, vocab, bias=False)

        def forward(self, x):
            h = self.embed(x) + self.position.weight[: x.shape[1]]
            for block in self.blocks:
                h = block(h)
            return self.unembed(h)

    return Model()


def write_state(folder, step, named):
    folder.mkdir(parents=True, exist_ok=True)
    bytes_ = b"".join(t.detach().contiguous().numpy().astype("<f4").tobytes() for _, t in named)
    (folder / f"step{step:06}.bin").write_bytes(bytes_)
    (folder / "layout.json").write_text(json.dumps([[n, "f32", list(t.shape)] for n, t in named]))


def train(torch, kind, folder, windows, text=None):
    torch.manual_seed(0)
    cross_entropy = torch.nn.functional.cross_entropy
    if kind == "grok":
        p = 53
        model = make_model(torch, p + 1, 64, 1, 4, 3)
        a = torch.arange(p)
        x = torch.cartesian_prod(a, a)
        y = x.sum(1) % p
        x = torch.cat([x, torch.full((len(x), 1), p)], 1)
        keep = torch.randperm(len(x))[: int(0.4 * len(x))]
        x, y = x[keep], y[keep]
        opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98))
        loss = lambda: cross_entropy(model(x)[:, -1], y)
    else:
        text = pathlib.Path(text or pathlib.Path(__file__).parents[2] / "LICENSE-APACHE").read_text()
        chars = sorted(set(text))
        data = torch.tensor([chars.index(c) for c in text])
        model = make_model(torch, len(chars), 128, 2, 4, 64)
        opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.999))

        def loss():
            at = torch.randint(0, len(data) - 65, (16,))
            z = torch.stack([data[i : i + 65] for i in at])
            return cross_entropy(model(z[:, :-1]).flatten(0, 1), z[:, 1:].flatten())

    for step in range(max(stop for _, _, stop in windows) + 1):
        for name, start, stop in windows:
            if step % 10 == 0 and start <= step <= stop:
                named = [("params/" + n, t) for n, t in model.named_parameters()]
                for key, part in (("exp_avg", "m"), ("exp_avg_sq", "v")):
                    for n, t in model.named_parameters():
                        moment = opt.state[t].get(key) if t in opt.state else None
                        named.append((f"optim.{part}/{n}", torch.zeros_like(t) if moment is None else moment))
                write_state(folder / name, step, named)
        value = loss()
        opt.zero_grad()
        value.backward()
        opt.step()


def make(folder, tar=None, text=None):
    import torch

    torch.set_num_threads(1)
    folder = pathlib.Path(folder)
    train(torch, "grok", folder, [("grok", 0, 590), ("grok-late", 2000, 2390)])
    train(torch, "lm", folder, [("lm", 0, 590), ("lm-late", 1500, 1890)], text)
    if tar:
        with tarfile.open(tar) as files:
            for member in files:
                if member.name.endswith(".pt"):
                    step = re.search(r"epoch_(\d+)", member.name)
                    state = torch.load(files.extractfile(member), map_location="cpu", weights_only=True)
                    write_state(folder / "fixture", int(step.group(1)) if step else 0, list(state.items()))


def measure(folder):
    import numpy as np
    import pcodec
    import zipnn
    import zstandard

    states = [f.read_bytes() for f in sorted(pathlib.Path(folder).glob("step*.bin"))]
    raw = sum(map(len, states))
    zip_, zstd = zipnn.ZipNN(input_format="byte", bytearray_dtype="float32", threads=1), zstandard.ZstdCompressor(level=3)
    config = pcodec.ChunkConfig()

    def ordered(state):
        u = np.frombuffer(state, np.uint32)
        return u ^ ((u.view(np.int32) >> 31).view(np.uint32) >> 1)

    def pco_change(i):
        now = ordered(states[i])
        change = now - ordered(states[i - 1]) if i else now
        return pcodec.standalone.simple_compress(change.view(np.int32), config)

    candidates = {
        "zipnn": lambda i: zip_.compress(bytearray(states[i])),
        "zstd -3": lambda i: zstd.compress(states[i]),
        "pcodec of the integer change": pco_change,
    }
    for name, compress in candidates.items():
        start = time.process_time()
        size = sum(len(compress(i)) for i in range(len(states)))
        secs = time.process_time() - start
        print(f"{folder}: {name}: {size / len(states):.0f} bytes each, {32 * size / raw:.2f} bits in 32, {raw / 1e6 / secs:.0f} MB/s of a core")
    # Sizes only: what the planes of the change hold if each byte were independent of all others.
    bits = 0.0
    for before, now in zip(states, states[1:]):
        x, p = ordered(now).view(np.int32).astype(np.int64), ordered(before).view(np.int32).astype(np.int64)
        z = np.where(x < p, 2 * (p - x) - 1, 2 * (x - p)).astype(np.uint64)
        for place in range(4):
            counts = np.bincount(((z >> np.uint64(8 * place)) & np.uint64(255)).astype(np.int64))
            counts = counts[counts > 0]
            bits += float((counts * (math.log2(len(z)) - np.log2(counts))).sum())
    n = sum(len(s) // 4 for s in states[1:])
    print(f"{folder}: order-0 entropy of the byte planes of the integer change: {bits / n:.2f} bits in 32")


def floor(folder):
    """What no coder that sees each number alone, with its prediction, can go below.

    Of each tensor: the entropy of the size class (eighths of octaves, and the sign) of the distance in bit patterns,
    given the exponent of the prediction, with the correction of Miller and Madow; the bits below the class count in full.
    Coefficients are fitted to the whole tensor and cost nothing, nor do codes.
    """
    import numpy as np

    layout = json.loads((pathlib.Path(folder) / "layout.json").read_text())
    states = [np.fromfile(f, np.float32) for f in sorted(pathlib.Path(folder).glob("step*.bin"))]
    ends = np.cumsum([math.prod(shape) for _, _, shape in layout])
    spans = {name: slice(end - math.prod(shape), end) for (name, _, shape), end in zip(layout, ends)}

    def ordered(x):
        u = np.ascontiguousarray(x, np.float32).view(np.uint32)
        return (u ^ ((u.view(np.int32) >> 31).view(np.uint32) >> 1)).view(np.int32).astype(np.int64)

    def entropy(classes, contexts):
        total = 0.0
        for context in np.unique(contexts):
            counts = np.unique(classes[contexts == context], return_counts=True)[1]
            n = counts.sum()
            total += float(n * np.log2(n) - (counts * np.log2(counts)).sum()) + (len(counts) - 1) / (2 * math.log(2))
        return total

    def alone(x):
        u = x.view(np.uint32)
        return 24 * len(u) + entropy((u >> 23) & 255, np.zeros(len(u)))

    def given(x, p):
        d = ordered(x) - ordered(p)
        size = np.abs(d)
        extra = np.maximum(np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) - 3, 0)
        exponent = (np.ascontiguousarray(p, np.float32).view(np.uint32) >> 23) & 255
        return float(extra.sum()) + entropy(np.where(d < 0, -1, 1) * (8 * extra + (size >> extra)), exponent)

    def fitted(x, columns):
        a = np.stack([np.asarray(c, np.float64) for c in columns], 1)
        return a @ np.linalg.lstsq(a, x.astype(np.float64), rcond=None)[0]

    sums, n = {}, {}
    for t in range(4, len(states), 5):
        for name, span in spans.items():
            x, x1, x2, x3, x4 = (states[t - i][span] for i in range(5))
            group = name.split("/")[0] if "/" in name else "params"
            xor = x.view(np.uint32) ^ x1.view(np.uint32)
            planes = [min(8.0 * len(x), entropy((xor >> np.uint32(8 * i)) & 255, np.zeros(len(x)))) for i in range(4)]
            found = {
                "alone": alone(x),
                "XOR planes": sum(planes),
                "x1": given(x, x1),
                "2 x1 - x2": given(x, 2 * x1 - x2),
                "2 fitted": given(x, fitted(x, [x1, x2])),
                "3 fitted": given(x, fitted(x, [x1, x2, x3])),
                "4 fitted": given(x, fitted(x, [x1, x2, x3, x4])),
            }
            if group == "params" and "optim.m/" + name[7:] in spans:
                m, v = spans["optim.m/" + name[7:]], spans["optim.v/" + name[7:]]
                updates = [states[t - i][m] / (np.sqrt(np.maximum(states[t - i][v], 0)) + 1e-8) for i in range(3)]
                found["3 fitted, and Adam's updates"] = given(x, fitted(x, [x1, x2, x3, *updates]))
            found["floor"] = min(v for k, v in found.items() if "Adam" not in k)
            n[group] = n.get(group, 0) + len(x)
            for key, bits in found.items():
                sums[group, key] = sums.get((group, key), 0.0) + bits
    for (group, key), bits in sums.items():
        print(f"{folder}: {group}: {key}: {bits / n[group]:.2f} bits in 32")
    whole = sum(bits for (_, key), bits in sums.items() if key == "floor") / sum(n.values())
    print(f"{folder}: floor of the whole: {whole:.2f} bits in 32")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("make", "measure", "floor"):
        sys.exit(__doc__)
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    else:
        for each in sys.argv[2:]:
            {"measure": measure, "floor": floor}[sys.argv[1]](each)
