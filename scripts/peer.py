"""Published ResNet-20 in PyTorch, compressed as one would by hand: a problem for pymoo."""

import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from published_networks import WEIGHTS
from pymoo.core.problem import ElementwiseProblem
from safetensors.numpy import load_file

NAME = "resnet20_cifar10"
BITS = (2, 3, 4, 6, 8)
BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
CONVOLUTIONS = ["conv1", *(f"{b}.conv{i}" for b in BLOCKS for i in (1, 2)), "linear"]
BATCHES = (25, 50, 100, 250, 500, 1000, 2500, 5000)
FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
TRIALS = 5  # of each way to run it


class Peer(ElementwiseProblem):
    """Error and packed bytes of ResNet-20, in PyTorch."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        place = "cuda" if torch.cuda.is_available() else "cpu"
        self.weights = {
            name: torch.from_numpy(array.copy()).to(place)
            for name, array in load_file(Path(WEIGHTS) / f"{NAME}.safetensors").items()
        }
        self.images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(place)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(place)
        self.order = {
            b: torch.argsort(self.weights[f"{b}.conv1.weight"].flatten(1).norm(dim=1))
            for b in BLOCKS
        }
        self.batch, self.format = 100, "channels first"
        widths = [len(self.order[b]) for b in BLOCKS]
        top = [w - 1 for w in widths] + [len(BITS) - 1] * len(CONVOLUTIONS)
        self.top = np.array(top)
        super().__init__(n_var=len(top), n_obj=2, xl=0, xu=self.top, vtype=int)

    def compressed(self, x: np.ndarray) -> tuple[dict[str, torch.Tensor], float]:
        """Returns the weights that are left, and their bytes."""
        weights = dict(self.weights)
        for name, count in zip(BLOCKS, x[: len(BLOCKS)], strict=True):
            kept = torch.sort(self.order[name].flip(0)[: int(count) + 1]).values
            weights[f"{name}.conv1.weight"] = weights[f"{name}.conv1.weight"][kept]
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                weights[f"{name}.bn1.{leaf}"] = weights[f"{name}.bn1.{leaf}"][kept]
            weights[f"{name}.conv2.weight"] = weights[f"{name}.conv2.weight"][:, kept]
        size = sum(4.0 * w.numel() for n, w in weights.items() if w.dim() == 1)
        for name, choice in zip(CONVOLUTIONS, x[len(BLOCKS) :], strict=True):
            w, bits = weights[f"{name}.weight"], BITS[int(choice)]
            top = 2 ** (bits - 1) - 1
            largest = w.abs().amax(dim=tuple(range(1, w.dim())), keepdim=True)
            scale = torch.where(largest > 0, largest / top, 1.0)
            weights[f"{name}.weight"] = torch.round(w / scale).clamp(-top, top) * scale
            size += bits * w.numel() / 8 + 4 * len(w)
        return {name: self.laid_out(w) for name, w in weights.items()}, size

    def laid_out(self, x: torch.Tensor) -> torch.Tensor:
        """Returns images or kernels in the memory format that is chosen."""
        return x.contiguous(memory_format=FORMATS[self.format]) if x.dim() == 4 else x

    def choose(self, layout: str, batch: int) -> None:
        self.format, self.batch = layout, batch
        self.images = self.laid_out(self.images)

    def logits(self, w: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        def norm(name: str, y: torch.Tensor) -> torch.Tensor:
            mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
            return F.batch_norm(y, mean, var, w[f"{name}.weight"], w[f"{name}.bias"])

        x = F.relu(norm("bn1", F.conv2d(x, w["conv1.weight"], padding=1)))
        for name in BLOCKS:
            narrow = x.shape[1]
            wide = w[f"{name}.conv2.weight"].shape[0]
            stride = 1 if narrow == wide else 2
            y = F.conv2d(x, w[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.relu(norm(f"{name}.bn1", y))
            y = norm(f"{name}.bn2", F.conv2d(y, w[f"{name}.conv2.weight"], padding=1))
            if stride == 2:
                side = (wide - narrow) // 2
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
            x = F.relu(y + x)
        return F.linear(x.mean((2, 3)), w["linear.weight"], w["linear.bias"])

    def error(self, weights: dict[str, torch.Tensor]) -> float:
        wrong = 0
        with torch.inference_mode():
            for at in range(0, len(self.images), self.batch):
                part = slice(at, at + self.batch)
                found = self.logits(weights, self.images[part]).argmax(1)
                wrong += int((found != self.labels[part]).sum())
        return wrong / len(self.images)

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        weights, size = self.compressed(x)
        out["F"] = [self.error(weights), size]

    def choose_fastest(self) -> float:
        """Takes the memory format and the batch size at which the dense network and one of
        half its widths run fastest together, in the median of interleaved trials.

        Returns:
            The dense network's images a second.
        """
        sizes = [size for size in BATCHES if size <= max(len(self.images), BATCHES[0])]
        ways = list(product(FORMATS, sizes))
        seconds = np.zeros((TRIALS, len(ways), 2))
        for trial, (place, way) in product(range(-1, TRIALS), enumerate(ways)):
            self.choose(*way)
            for which, x in enumerate((self.top, self.top // 2)):
                weights, _ = self.compressed(x)
                began = time.perf_counter()
                self.error(weights)
                if trial >= 0:  # what comes before warms up
                    seconds[trial, place, which] = time.perf_counter() - began
        taken = np.median(seconds, axis=0)
        place = int(taken.sum(1).argmin())
        self.choose(*ways[place])
        return len(self.images) / taken[place, 0]
