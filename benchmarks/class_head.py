"""A training step of the class head alone: ours beside three ways that plain PyTorch offers.

Run: python -m benchmarks.class_head [--classes 500000] [--dim 512] [--batch 64] [--rate 0.1]
     [--arms ours,sparse,dense,dense-tuned,full,full-tuned] [--rounds 5] [--steps 3] [--threads 1]

* ours: `margin_softmax` in chunks over rows read in place, row-wise Adam on the sampled rows;
* sparse: the sampled rows copied, ``torch.optim.SparseAdam``;
* dense: the sampled rows copied, a gradient of all rows, ``torch.optim.Adam``, as PartialFC began;
* full: all classes, no sampling, ``torch.optim.Adam``;
* dense-tuned, full-tuned: the same with ``fused=True`` and an allocator that keeps what it was
  given (glibc's MALLOC_MMAP_MAX_ and MALLOC_TRIM_THRESHOLD_): faster, for more memory.

A step draws the classes, and takes loss, gradients and update; images are random vectors, so this
is the head and nothing else. Every arm has the same rows, images and draws; the sampled ones'
losses of the first step are compared before anything is told. Each arm of each round is a process
of its own, since several heads of this size do not fit one machine; the arms take turns. Out of
the clock: imports, making the rows, and the first step. Memory is the peak of the process beyond
what it had before its rows and beyond weights and both moments, which every arm must hold.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ARMS = ("ours", "sparse", "dense", "dense-tuned", "full", "full-tuned")
MARGIN, SCALE, LEARNING_RATE = 0.15, 32.0, 0.001
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "1000000000000"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--classes", type=int, default=500_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(run_arm(options)))
        return
    arms = options.arms.split(",")
    found: dict[str, list[dict[str, object]]] = {arm: [] for arm in arms}
    for number in range(options.rounds):
        for place in range(len(arms)):  # the order moves on from round to round
            arm = arms[(place + number) % len(arms)]
            found[arm].append(start_arm(arm))
            print(f"round {number + 1}, {arm}: {found[arm][-1]}", file=sys.stderr, flush=True)
    report(options, found)


def start_arm(arm: str) -> dict[str, object]:
    environment = os.environ | (KEPT if arm.endswith("-tuned") else {})
    command = [sys.executable, "-m", "benchmarks.class_head", *sys.argv[1:], "--arm", arm]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arm}: exit {done.returncode}\n{done.stderr[-2000:]}")
    result: dict[str, object] = json.loads(done.stdout)
    return result


def report(options: argparse.Namespace, found: dict[str, list[dict[str, object]]]) -> None:
    sampled = [arm for arm in found if not arm.startswith("full")]
    losses = np.array([found[arm][0]["losses"] for arm in sampled], float)
    assert np.allclose(losses[:, 0], losses[0, 0], rtol=1e-4), losses
    print(
        f"{options.classes:,} classes x {options.dim}, batch {options.batch}, rate {options.rate}, "
        f"{options.threads} threads, {options.rounds} rounds of {options.steps} steps"
    )
    print(f"loss of the first step, sampled arms: {losses[0, 0]:.4f} in all")
    ours = np.array([run["seconds"] for run in found[sampled[0]]], float)
    memory = float(np.median([run["extra"] for run in found[sampled[0]]]))  # type: ignore[misc]
    draws = np.random.default_rng(0).integers(0, options.rounds, (2000, options.rounds))
    for arm, runs in found.items():
        seconds = np.array([run["seconds"] for run in runs], float)
        ratios = [_middle(seconds[one]) / _middle(ours[one]) for one in draws]
        low, high = np.quantile(ratios, [0.025, 0.975])
        extra = float(np.median([run["extra"] for run in runs]))  # type: ignore[misc]
        print(
            f"{arm:11} s a step: {seconds.min():.3f} least, {_middle(seconds):.3f} median; "
            f"{_middle(seconds) / _middle(ours):5.2f} ({low:.2f} to {high:.2f}) times ours; "
            f"extra memory {extra / 1e9:.3f} GB, {extra / memory:.1f} times ours"
        )


def _middle(seconds: np.ndarray) -> float:
    return float(np.median(seconds))


def run_arm(options: argparse.Namespace) -> dict[str, object]:
    """Seconds of each step, losses of all, bytes beyond weights and moments."""
    import torch

    from openmofi.training.class_head import initial_rows

    torch.set_num_threads(options.threads)
    initial_rows(range(8), options.dim, seed=0)
    before = resident("VmRSS")
    step = make_step(options)
    images = torch.randn(
        options.steps + 1, options.batch, options.dim, generator=torch.Generator().manual_seed(1)
    )
    labels = torch.randint(
        options.classes, images.shape[:2], generator=torch.Generator().manual_seed(2)
    )
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    losses, seconds = [], []
    for number in range(options.steps + 1):
        started = time.perf_counter()
        losses.append(step(images[number].requires_grad_(), labels[number], number))
        seconds.append(time.perf_counter() - started)
    held = 3 * 4 * options.classes * options.dim
    extra = resident("VmHWM") - before - held
    return {"seconds": seconds[1:], "losses": losses, "extra": extra}


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def make_step(options: argparse.Namespace) -> Callable[..., float]:
    import torch
    from torch.nn import functional

    from openmofi.losses.class_sampling import choose_classes
    from openmofi.losses.margin_softmax import margin_softmax
    from openmofi.losses.margins import Margin
    from openmofi.training.class_head import ClassHead, initial_rows

    arm, size = options.arm.removesuffix("-tuned"), options.classes

    def draw(labels: torch.Tensor, number: int):
        generator = torch.Generator().manual_seed(number)
        return choose_classes(labels, size, options.rate, generator)

    if arm == "ours":
        head = ClassHead(range(size), options.dim, seed=0)

        def ours(images: torch.Tensor, labels: torch.Tensor, number: int) -> float:
            sample = draw(labels, number)
            loss = margin_softmax(
                images,
                head.take(sample.classes),
                sample.targets,
                margin=Margin(MARGIN),
                scale=SCALE,
                labels=labels,
            )
            loss.backward()
            head.step(LEARNING_RATE)
            return loss.item()

        return ours

    rows = torch.nn.Parameter(initial_rows(range(size), options.dim, seed=0))
    optimizer = (
        torch.optim.SparseAdam([rows], lr=LEARNING_RATE)
        if arm == "sparse"
        else torch.optim.Adam([rows], lr=LEARNING_RATE, fused=options.arm.endswith("-tuned"))
    )

    def plain(images: torch.Tensor, labels: torch.Tensor, number: int) -> float:
        if arm == "full":
            centres, targets = rows, labels
        else:
            sample = draw(labels, number)
            centres = functional.embedding(sample.classes, rows, sparse=arm == "sparse")
            targets = sample.targets
        cosines = functional.normalize(images) @ functional.normalize(centres).T
        places = torch.arange(len(images))
        logits = SCALE * cosines.index_put(
            (places, targets), torch.tensor(-MARGIN), accumulate=True
        )
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return plain


if __name__ == "__main__":
    main()
