"""A tower learns what a teacher says: small, on generated pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import WIDTH, tiny_graph, write_backbone
from PIL import Image
from safetensors.torch import load_file

from geolocate.errors import WeightsError
from geolocate_export.distil import REPORT_NAME, TOWER_NAME, DistilConfig, distil, explained_variance
from geolocate_export.distil_targets import Components, Targets, Teacher, make_targets
from geolocate_export.model import ImageConfig, vision_tower
from geolocate_export.parity import generated_photos

IMAGE = ImageConfig(
    {"timm_model_name": "regnetx_002", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64}, 6
)
GRID, VIEWS = 2, 4
CONFIG = DistilConfig(views=VIEWS, steps=40, batch=16, warm_up_steps=5, evaluate_every=20)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for at, picture in enumerate(generated_photos(40, 80)):
        found.append(folder / f"{at}.png")
        Image.fromarray(picture).save(found[-1])
    return found


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(write_backbone(tmp_path_factory.mktemp("teacher")))


@pytest.fixture(scope="module")
def targets(
    paths: list[Path], teacher: Teacher, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Targets, Targets]:
    """Views of 32 pictures to learn from, and one each of 8 others."""
    folder = tmp_path_factory.mktemp("views")
    trained = make_targets(paths[:32], teacher, folder / "trained", views=VIEWS, side=64, grid=GRID, seed=1)
    held_out = make_targets(paths[32:], teacher, folder / "held_out", views=1, side=64, grid=GRID, seed=1)
    return trained, held_out


def test_the_student_says_what_the_teacher_says_of_pictures_that_it_never_saw(
    targets: tuple[Targets, Targets], tmp_path: Path
) -> None:
    lines: list[str] = []
    best = distil(IMAGE, *targets, CONFIG, tmp_path, lines.append)
    assert best["held_out"] > 0.2
    assert best["trained"] > 0.2
    assert len(lines) == 2
    assert json.loads((tmp_path / REPORT_NAME).read_text())["measured"] == best
    tower = vision_tower(IMAGE)
    tower.load_state_dict(load_file(tmp_path / TOWER_NAME))


def test_the_same_run_twice_gives_the_same_weights(targets: tuple[Targets, Targets], tmp_path: Path) -> None:
    config = DistilConfig(views=VIEWS, steps=3, batch=8, warm_up_steps=1, evaluate_every=3)
    for name in ("one", "two"):
        torch.rand(3)  # what was drawn before does not matter
        distil(IMAGE, *targets, config, tmp_path / name)
    one, two = ((tmp_path / name / TOWER_NAME).read_bytes() for name in ("one", "two"))
    assert one == two


def test_ctrl_c_keeps_the_best_so_far(targets: tuple[Targets, Targets], tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("step"):
            raise KeyboardInterrupt

    config = DistilConfig(views=VIEWS, steps=4, batch=8, warm_up_steps=1, evaluate_every=2)
    with pytest.raises(KeyboardInterrupt):
        distil(IMAGE, *targets, config, tmp_path / "nothing", interrupt)
    assert not (tmp_path / "nothing" / REPORT_NAME).exists()
    seen: list[str] = []

    def interrupt_later(line: str) -> None:
        seen.append(line)
        if line.startswith("step 4"):
            raise KeyboardInterrupt

    best = distil(IMAGE, *targets, config, tmp_path / "some", interrupt_later)
    assert (tmp_path / "some" / TOWER_NAME).is_file()
    assert best["step"] == 2
    assert seen[-1].startswith("ended early")


def test_views_are_fixed_and_the_grid_averages_to_the_features(
    paths: list[Path], teacher: Teacher, targets: tuple[Targets, Targets], tmp_path: Path
) -> None:
    again = make_targets(paths[:32], teacher, tmp_path, views=VIEWS, side=64, grid=GRID, seed=1)
    trained, _ = targets
    assert np.array_equal(again.pixels, trained.pixels)
    assert trained.features.shape == (32 * VIEWS, WIDTH)
    grids = np.asarray(trained.grids, np.float32)
    np.testing.assert_allclose(grids.mean(1), trained.features, rtol=0.02, atol=0.01)
    assert len(np.unique(trained.pixels.reshape(len(trained.pixels), -1), axis=0)) == 32 * VIEWS


def test_a_finished_set_of_views_is_found_again(
    paths: list[Path], targets: tuple[Targets, Targets], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def silent(pixels: object) -> None:
        raise AssertionError("the teacher was asked again")

    trained, _ = targets
    folder = Path(str(getattr(trained.pixels, "filename", ""))).parent
    again = make_targets(paths[:32], silent, folder, views=VIEWS, side=64, grid=GRID, seed=1)  # type: ignore[arg-type]
    assert np.array_equal(again.features, trained.features)


def test_components_go_there_and_back() -> None:
    features = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32) * [5, 3, 1, 0.1, 0.1]
    components = Components.of(features.astype(np.float32), 3, whitening=0.25)
    coordinates = components.of_features(features)
    assert coordinates.var(0).sum() == pytest.approx(1.0, rel=0.02)
    assert 0.95 < explained_variance(features, components.to_features(coordinates)) < 1.0


def test_a_teacher_without_a_grid_is_refused(tmp_path: Path) -> None:
    graph = tiny_graph()
    (average,) = (node for node in graph.graph.node if node.op_type == "GlobalAveragePool")
    average.op_type = "GlobalMaxPool"
    with pytest.raises(WeightsError, match="no grid"):
        Teacher(write_backbone(tmp_path, graph))
