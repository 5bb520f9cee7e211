"""Weights that carry code, and graphs that do not compute what torch does: nothing of them is left."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
from hostile.program import run

torch = pytest.importorskip("torch", reason="needs the extra: pip install 'geolocate[export]'")


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.target)!r}, 'w').close()",))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as a checkpoint, and a gallery of three points beside it."""
    from geolocate_export.checkpoint import save_checkpoint
    from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig

    torch.manual_seed(2)
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32}
    model = GeoModel(
        ModelConfig(
            image=ImageConfig(vision=vision, feature_dim=16),
            location=LocationConfig(frequencies=8, hidden=16),
            embedding_dim=8,
        )
    )
    folder = tmp_path_factory.mktemp("export") / "tiny"
    save_checkpoint(model.eval(), folder)
    (folder / "gallery.csv").write_text("LAT,LON\n1,2\n30,40\n-50,60\n", encoding="utf-8")
    return folder


@pytest.mark.row(42)
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_as_weights_is_refused_and_nothing_runs(
    checkpoint: Path, tree: Path, name: str, writer: str
) -> None:
    copy, ran = Path(shutil.copytree(checkpoint, tree / "copy")), tree / "ran"
    (copy / "weights.safetensors").unlink()
    if writer == "pickle":
        (copy / name).write_bytes(pickle.dumps({"weight": Payload(ran)}))
    else:
        torch.save({"weight": Payload(ran)}, copy / name)
    done = run("export", copy, "--output", tree / "new", "--gallery", copy / "gallery.csv")
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    assert "weights.safetensors" in done.stderr
    assert not ran.exists()
    assert not (tree / "new").exists()


@pytest.mark.row(42)
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_as_clip_weights_is_refused_and_nothing_runs(tree: Path, writer: str) -> None:
    path, ran = tree / "weights.pt", tree / "ran"
    if writer == "pickle":
        path.write_bytes(pickle.dumps({"visual.proj": Payload(ran)}))
    else:
        torch.save({"visual.proj": Payload(ran)}, path)
    words = ["models", "pull", "geoclip-vit-l-14", "--clip-weights", path, "--yes"]
    done = run(*words, GEOLOCATE_HOME=str(tree / "home"))
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit), done.exception
    assert "weights.pt" in done.stderr
    assert not ran.exists()


@pytest.mark.row(43)
def test_an_export_whose_parity_fails_ends_with_1_and_leaves_no_file(checkpoint: Path, tree: Path) -> None:
    words = ["export", checkpoint, "--gallery", checkpoint / "gallery.csv", "--output", tree / "new"]
    failed = run(*words, "--parity-limit", "0")
    assert failed.exit_code == 1, failed.output
    assert "more than the parity limit 0; nothing was written" in failed.stderr
    assert list(tree.iterdir()) == []
