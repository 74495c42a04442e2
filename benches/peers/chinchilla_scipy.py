#!/usr/bin/env python3
"""The Chinchilla fit of Besiroglu et al. 2024 with SciPy's L-BFGS-B beside ours, and the ratio of their times.

Both minimise the sum over the points of Huber_1e-3(ln(predicted) - ln(measured)) with analytic gradients, from the same
4,500 starts, then on 4,000 resamples from the optimum and two starts each. SciPy does an evenly spread part of the starts
and the first few resamples, and its time is multiplied; --whole makes it do all of them.

    python3 -m venv target/scipy-venv && target/scipy-venv/bin/pip install numpy scipy
    cargo build --release -p ontogeny_analysis --example scaling_chinchilla
    target/scipy-venv/bin/python benches/peers/chinchilla_scipy.py DATA target/release/examples/scaling_chinchilla
"""

import csv
import gzip
import itertools
import os
import subprocess
import sys
import time

# One thread for NumPy: arrays of 240 numbers gain nothing from more.
os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np
import scipy
from scipy.optimize import minimize

DELTA = 1e-3


def load(folder):
    with gzip.open(os.path.join(folder, "trajectories/chinchilla-svg/chinchilla.csv.gz"), "rt") as f:
        rows = [(float(r["params"]), float(r["flops"]), float(r["loss"])) for r in csv.DictReader(f)]
    n, c, loss = np.array(rows).T
    keep = np.argsort(-loss, kind="stable")[5:]
    keep.sort()
    n, c, loss = n[keep], c[keep], loss[keep]
    return np.log(n), np.log(c / (6 * n)), np.log(loss)


def objective(t, x0, x1, y):
    pa, pb, floor = np.exp(t[0] - t[3] * x0), np.exp(t[1] - t[4] * x1), np.exp(t[2])
    total = pa + pb + floor
    r = np.log(total) - y
    psi = np.clip(r, -DELTA, DELTA)
    force = psi / total
    ga, gb = force * pa, force * pb
    grad = np.array([ga.sum(), gb.sum(), force.sum() * floor, -(ga @ x0), -(gb @ x1)])
    return (psi * (r - 0.5 * psi)).sum(), grad


def descend(start, data, options):
    return minimize(objective, start, args=data, jac=True, method="L-BFGS-B", options=options)


def main():
    folder, program = sys.argv[1], sys.argv[2]
    whole = "--whole" in sys.argv
    data = load(folder)
    exps = [0.0, 0.5, 1.0, 1.5, 2.0]
    grid = [
        np.array([a, b, e, al, be])
        for al, be, e, a, b in itertools.product(
            exps, exps, [-1, -0.5, 0, 0.5, 1], range(0, 30, 5), range(0, 30, 5)
        )
    ]
    # The objective is about 1e-3: the default ftol of 2e-9 is relative to 1 and would stop far too early.
    options = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 2000, "maxfun": 5000}
    part = grid if whole else grid[7::15]
    clock = time.perf_counter()
    ends = [descend(s, data, options) for s in part]
    scipy_fit = (time.perf_counter() - clock) * len(grid) / len(part)
    best = min(ends, key=lambda r: r.fun)
    evals = np.mean([r.nfev for r in ends])
    n_boot = 4000 if whole else 100
    starts = [best.x, grid[len(grid) // 4], grid[3 * len(grid) // 4]]
    rng = np.random.default_rng(0)
    clock = time.perf_counter()
    for _ in range(n_boot):
        i = rng.integers(0, len(data[0]), len(data[0]))
        resample = tuple(d[i] for d in data)
        min((descend(s, resample, options) for s in starts), key=lambda r: r.fun)
    scipy_boot = (time.perf_counter() - clock) * 4000 / n_boot

    def ours(threads):
        env = dict(os.environ, RAYON_NUM_THREADS=str(threads))
        out = subprocess.run([program, folder], env=env, capture_output=True, text=True, check=True).stdout
        lines = dict(l.split(" ", 1) for l in out.splitlines() if " " in l)
        value = float(lines["objective"].split()[0])
        return value, float(lines["fit_secs"]), float(lines["bootstrap_secs"])

    print(f"scipy {scipy.__version__}, numpy {np.__version__}; {len(part)} of {len(grid)} starts and {n_boot} of 4000 "
          f"resamples timed, {evals:.0f} evaluations a start")
    print(f"objective: scipy {best.fun:.8e}")
    print(f"scipy: fit {scipy_fit:.1f} s, bootstrap {scipy_boot:.1f} s")
    for threads in (1, 2):
        value, fit, boot = ours(threads)
        print(f"ours, {threads} thread(s): objective {value:.8e}, fit {fit:.3f} s, bootstrap {boot:.3f} s; ratios: fit "
              f"{scipy_fit / fit:.0f}, bootstrap {scipy_boot / boot:.0f}, both {(scipy_fit + scipy_boot) / (fit + boot):.0f}")


if __name__ == "__main__":
    main()
