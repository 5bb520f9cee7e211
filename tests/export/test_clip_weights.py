"""CLIP weights are taken key by key from every layout, and from nothing that could run code."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file, save_file
from torch import Tensor

from geolocate.bundle import sha256_of
from geolocate.errors import WeightsError
from geolocate_export import clip_weights
from geolocate_export.clip_weights import ClipWeights, load_clip

VISION = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 14, "image_size": 28}
TEXT = {"context_length": 9, "vocab_size": 50, "width": 16, "heads": 2, "layers": 2}
MODEL = {"embed_dim": 24, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.fixture
def clip() -> open_clip.CLIP:
    torch.manual_seed(0)
    model = open_clip.CLIP(24, CLIPVisionCfg(**VISION), CLIPTextCfg(**TEXT), quick_gelu=True)
    return model.eval()


@pytest.fixture
def huggingface_folder(tmp_path: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.CLIPConfig(
        projection_dim=24,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 14,
            "image_size": 28,
            "projection_dim": 24,
        },
        text_config={
            "hidden_size": 16,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": 50,
            "max_position_embeddings": 9,
            "projection_dim": 24,
            "bos_token_id": 0,
            "eos_token_id": 2,
        },
    )
    folder = tmp_path / "clip"
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def features(weights: ClipWeights) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn((3, 3, 28, 28), generator=generator)
    tokens = torch.randint(1, 49, (3, 9), generator=generator)
    with torch.inference_mode():
        return weights.vision_tower()(pixels), weights.text_tower()(tokens)


def open_clip_features(model: open_clip.CLIP) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn((3, 3, 28, 28), generator=generator)
    tokens = torch.randint(1, 49, (3, 9), generator=generator)
    with torch.inference_mode():
        return model.encode_image(pixels), model.encode_text(tokens)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip knows the tiny model by name."""
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: MODEL if name == "tiny" else None)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".checkpoint.pt"])
def test_an_open_clip_file_gives_open_clips_own_features(
    clip: open_clip.CLIP, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in clip.state_dict().items()}, path)
    elif suffix == ".pt":
        torch.save(clip.state_dict(), path)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in clip.state_dict().items()}, "epoch": 3}, path)
    ours, theirs = features(load_clip(path, "tiny")), open_clip_features(clip)
    assert torch.equal(ours[0], theirs[0])
    assert torch.allclose(ours[1], theirs[1], atol=1e-6)


@pytest.mark.usefixtures("known")
def test_openais_torchscript_archive_is_read_and_any_other_refused(
    clip: open_clip.CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Archive(torch.nn.Module):
        """As OpenAI's: the towers in half precision with the settings among the weights."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = clip.visual
            for name in ("transformer", "token_embedding", "ln_final"):
                setattr(self, name, getattr(clip, name))
            self.positional_embedding, self.text_projection = clip.positional_embedding, clip.text_projection
            self.logit_scale = clip.logit_scale
            self.register_buffer("input_resolution", torch.tensor(28))

        def forward(self, pixels: Tensor) -> Tensor:
            result: Tensor = self.visual(pixels)
            return result

    path = tmp_path / "ViT.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, the format remains
        torch.jit.trace(Archive().eval(), torch.zeros(1, 3, 28, 28), check_trace=False).save(str(path))
    with pytest.raises(WeightsError, match=r"ViT\.pt is a TorchScript archive, and none of OpenAI's"):
        load_clip(path, "tiny")
    monkeypatch.setattr(clip_weights, "openai_archives", lambda: {sha256_of(path)})
    assert torch.equal(features(load_clip(path, "tiny"))[0], open_clip_features(clip)[0])


class Talking(torch.nn.Module):
    """Runs code of its own when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        print("the archive runs")
        self.weight = state[0]
        self.training = state[1]


def test_an_archive_that_runs_code_when_it_is_read_is_not_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Talking()).save(str(path))
        torch.jit.load(str(path))
        assert "the archive runs" in capfd.readouterr().out, "torch has become stricter"
        with pytest.raises(WeightsError, match="TorchScript"):
            clip_weights.read_state(path)
    assert capfd.readouterr().out == ""


def test_openais_hashes_are_those_of_its_addresses() -> None:
    hashes = clip_weights.openai_archives()
    assert len(hashes) >= 9
    assert "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836" in hashes  # ViT-L/14


def test_an_open_clip_folder_describes_itself(clip: open_clip.CLIP, tmp_path: Path) -> None:
    described = {"model_cfg": MODEL, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    state = {name: tensor.contiguous() for name, tensor in clip.state_dict().items()}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    weights = load_clip(tmp_path)
    assert torch.equal(features(weights)[0], open_clip_features(clip)[0])
    assert weights.image.mean == (0.1, 0.2, 0.3)
    assert weights.image.std == (0.4, 0.5, 0.6)


@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_a_hugging_face_folder_gives_transformers_own_features(huggingface_folder: Path, layout: str) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.CLIPModel.from_pretrained(huggingface_folder).eval()
    if layout == "bin":
        state = load_file(huggingface_folder / "model.safetensors")
        state["text_model.embeddings.position_ids"] = torch.arange(9)[None]  # older files hold this counter
        torch.save(state, huggingface_folder / "pytorch_model.bin")
        (huggingface_folder / "model.safetensors").unlink()
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn((3, 3, 28, 28), generator=generator)
    tokens = torch.randint(1, 49, (3, 9), generator=generator)
    with torch.inference_mode():
        images = theirs.get_image_features(pixel_values=pixels)
        texts = theirs.get_text_features(input_ids=tokens)
    ours = features(load_clip(huggingface_folder))
    for our, their in zip(ours, (images, texts), strict=True):
        assert torch.allclose(our, getattr(their, "pooler_output", their), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(surprise=torch.zeros(1)), "unknown key 'surprise'"),
        (lambda state: state.pop("visual_projection.weight"), "the vision tower lacks proj"),
        (lambda state: state.pop("text_model.encoder.layers.1.self_attn.k_proj.bias"), "lacks the part k"),
        (
            lambda state: state.update({"text_projection.weight": torch.zeros(24, 8)}),
            "another size for text_",
        ),
    ],
)
def test_every_key_is_accounted_for(huggingface_folder: Path, change: Any, message: str) -> None:
    path = huggingface_folder / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=message):
        load_clip(huggingface_folder)


def test_another_activation_is_refused_and_not_guessed(huggingface_folder: Path) -> None:
    path = huggingface_folder / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["hidden_act"] = "relu"
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="relu"):
        load_clip(huggingface_folder)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", ["weights.pt", "weights.bin"])
def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path: Path, name: str) -> None:
    target, path = tmp_path / "ran", tmp_path / name
    path.write_bytes(pickle.dumps({"visual.proj": Payload(target)}, protocol=2))
    with pytest.raises(WeightsError, match=r"weights\.\w+"):
        load_clip(path, "tiny")
    torch.save({"visual.proj": Payload(target)}, path)
    with pytest.raises(WeightsError, match="a pickle can run code"):
        load_clip(path, "tiny")
    assert not target.exists()


@pytest.mark.usefixtures("known")
def test_a_model_of_another_size_is_refused(clip: open_clip.CLIP, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in clip.state_dict().items() if ".resblocks.1." not in k}, path)
    with pytest.raises(WeightsError, match=r"lacks transformer\.resblocks\.1"):
        load_clip(path, "tiny")


def test_without_network_the_message_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError("no route to host\nwith details")

    monkeypatch.setattr(clip_weights.open_clip, "download_pretrained", refuse)
    said: list[str] = []
    with pytest.raises(WeightsError, match="no route to host; give a local file or folder") as caught:
        load_clip(say=said.append)
    assert "\n" not in str(caught.value)
    assert said[0].startswith("fetching ViT-L-14-quickgelu (openai) from")


def test_an_unknown_model_or_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="knows no model 'ViT-nonsense'"):
        load_clip(None, "ViT-nonsense")
    with pytest.raises(WeightsError, match="neither"):
        load_clip(tmp_path)
    with pytest.raises(WeightsError, match="no CLIP weights at"):
        load_clip(tmp_path / "gone")
