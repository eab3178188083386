"""demo: train a small network on digits, compile it, and see what it makes of others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from graphc import driver
from graphc.demonstration.network import DISPLAY, ITERATIONS, NET, settings, solver
from graphc.errors import GraphError, fail
from graphc.files import replacing, write_file
from graphc.front.weights import write_weights
from graphc.ir.graph import Graph
from graphc.ir.provenance import Record
from graphc.records import record
from graphc.report import curves
from graphc.report.history import History
from graphc.report.memory import peak_rss
from graphc.report.png import png
from graphc.report.text import size_text
from graphc.runtime.executable import Executable
from graphc.train import events
from graphc.train.solver import Solver

Images: TypeAlias = npt.NDArray[np.float32]
Classes: TypeAlias = npt.NDArray[np.int64]

FOLDER = "graphc-demo"
FILES = {
    "net.prototxt": "the network, to train and to run",
    "solver.prototxt": "how it is trained",
    "digits.caffemodel": "what it has learned",
    "digits.gcz": "compiled, ready to run",
    "digits.npy": "some digits that it has not seen",
    "digits.png": "a hundred of them, red where it is wrong",
    "training.html": "the course of its training",
}
WARM = 20  # runs before any counts
THREADS = 1  # of this little work more would only wait for each other
WHITEST = 16  # the digits' pixels are whole numbers from 0 to 16
SAMPLES = 10  # digits in digits.npy
SIDE, TILE, EDGE = 10, 32, 3  # digits.png: digits per side, pixels of one and of its frame
RIGHT, WRONG = (46, 160, 67), (218, 54, 51)


@record
class Demo:
    """`images`: (N, 8, 8) from 0 to 1, held out, their `labels` and the `predictions`; `trained`:
    how many others there were; `losses`: the first and the last; `us_per_image`: the median, image
    by image; bytes planned for training and for running, and the most that the process had
    (None: not known)."""

    folder: Path
    images: Images
    labels: Classes
    predictions: Classes
    trained: int
    iterations: int
    losses: tuple[float, float]
    images_per_second: float
    us_per_image: float
    passes: Sequence[Record]
    train_bytes: int
    run_bytes: int
    peak_rss: int | None
    seconds: float

    @property
    def accuracy(self) -> float:
        return float((self.labels == self.predictions).mean())


def demo(
    folder: str | Path = FOLDER,
    *,
    seed: int = 1,
    listeners: Sequence[events.Listener] = (),
    target: str | None = None,
) -> Demo:
    """Train on two thirds of 1,797 handwritten digits, compile, and run the rest.

    `folder` gets `FILES`; such as are there are replaced. `seed`: of the split, the order of the
    digits, fillers and dropout. `listeners` hear the events of the training. `target`: where it
    trains and runs, None: cpu. Raises GC-U002 without scikit-learn, GC-F002, GC-X001.
    """
    started = time.perf_counter()
    where = driver.DEFAULT_TARGET if target is None else target
    driver.check_target(where)
    images, labels = _digits(seed)
    known = len(images) * 2 // 3
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraphError("GC-F002", f"cannot make {str(place)!r}: {error.strerror}") from error
    write_file(place / "net.prototxt", NET)
    write_file(place / "solver.prototxt", solver(seed))
    history = History()
    own = {"net": str((place / "net.prototxt").resolve())}  # not one of this name where we are
    training = Solver(place / "solver.prototxt", set=own, target=where, threads=THREADS)
    _train(training, images[:known], labels[:known], seed, (history, *listeners))
    optimized, report = driver.optimize(_learned(training, place))
    meta = {"recipe": report.recipe}
    exe = driver.assemble(optimized, target=where, threads=THREADS, meta=meta)
    exe.save(place / "digits.gcz")
    held_out, truth = images[known:], labels[known:]
    predictions, us = _run(exe, held_out)
    with replacing(place / "digits.npy") as file:
        np.lib.format.write_array(file, held_out[:SAMPLES], allow_pickle=False)
    write_file(place / "digits.png", png(picture(held_out[:, 0], truth == predictions)))
    found = Demo(
        place,
        held_out[:, 0],
        truth,
        predictions,
        known,
        training.iter,
        (history.loss.values[0], history.loss.values[-1]),
        history.images / history.seconds,
        us,
        report.passes,
        training.net.plan.peak_bytes,
        exe.plan.peak_bytes,
        peak_rss(),
        time.perf_counter() - started,
    )
    _write_curves(place / "training.html", history, seed, found)
    return found


def _digits(seed: int) -> tuple[Images, Classes]:
    """(N, 1, 8, 8) from 0 to 1, and (N,) classes, shuffled. Raises GC-U002."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        hint = "pip install 'graphc[demo]'"
        fail("GC-U002", "the demo's digits come with the package scikit-learn", hint)
    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = np.asarray(bunch.images / WHITEST, np.float32)[order, None]
    return images, np.asarray(bunch.target, np.int64)[order]


def _train(
    training: Solver,
    images: Images,
    labels: Classes,
    seed: int,
    listeners: Sequence[events.Listener],
) -> None:
    """Make the solver's iterations, and tell of them."""
    batches = _batches(len(images), training.net.inputs["data"][0], seed)
    for iteration, rows in zip(range(ITERATIONS), batches, strict=False):
        began = time.perf_counter()
        loss = training.step(1, feed={"data": images[rows], "label": labels[rows]})
        rate = training.rate
        tick = events.Tick(iteration, loss, rate, len(rows), time.perf_counter() - began)
        displayed = (events.TrainLoss(iteration, loss), events.LearningRate(iteration, rate))
        for event in (*displayed, tick) if iteration % DISPLAY == 0 else (tick,):
            for listener in listeners:
                listener(event)


def _batches(count: int, batch: int, seed: int) -> Iterator[Classes]:
    """Rows of one batch after the other, in another order each time round; what fills no batch is
    left out."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count)[: count // batch * batch].reshape(-1, batch)


def _learned(training: Solver, place: Path) -> Graph:
    """The network to run, with the weights learned, which are written as well."""
    graph = driver.load(place / "net.prototxt")
    for layer, blobs in graph.params.items():
        for blob, learned in zip(blobs, training.net.params[layer], strict=True):
            blob[...] = learned
    graph.notes.clear()
    write_weights(graph, place / "digits.caffemodel")
    return graph


def _run(exe: Executable, images: Images) -> tuple[Classes, float]:
    """The class of each image, and the median of the microseconds that one took."""
    found, times = [], []
    for image in (*images[:WARM], *images):
        began = time.perf_counter()
        found.append(int(exe.run({"data": image[None]})["prob"].argmax()))
        times.append((time.perf_counter() - began) * 1e6)
    return np.array(found[WARM:], np.int64), float(np.median(times[WARM:]))


def picture(images: Images, is_right: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """(H, W, 3): the first digits, dark on light, each in a frame that tells how it went; wrong
    ones come first."""
    first = np.argsort(is_right, kind="stable")[: SIDE * SIDE]
    size = TILE + 2 * EDGE
    pixels = np.zeros((SIDE * size, SIDE * size, 3), np.uint8)
    for index, image in enumerate(first):
        y, x = (size * place for place in divmod(index, SIDE))
        pixels[y : y + size - 1, x : x + size - 1] = RIGHT if is_right[image] else WRONG
        grey = (
            (255 * (1 - images[image])).astype(np.uint8).repeat(TILE // 8, 0).repeat(TILE // 8, 1)
        )
        pixels[y + EDGE : y + EDGE + TILE, x + EDGE : x + EDGE + TILE] = grey[..., None]
    return pixels


def _write_curves(path: Path, history: History, seed: int, found: Demo) -> None:
    figures = {
        "accuracy": f"{found.accuracy:.1%} of {len(found.labels)} digits held out",
        "memory planned": f"{size_text(found.train_bytes)} to train, "
        f"{size_text(found.run_bytes)} to run",
    }
    title = "Digits: the course of a training"
    curves.write(path, history, title=title, settings=settings(seed), figures=figures)


__all__ = ["FILES", "FOLDER", "Demo", "demo", "picture"]
