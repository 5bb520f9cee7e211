"""What the arms of `performance.py` run on: model, weights of the peer, photos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from natural_photos import write_natural_photos

STARTER = "starter"


class NotHere(Exception):
    """An arm cannot run on this machine or with these arguments; the message says why."""


@dataclass
class Setting:
    """One run's arguments.

    Attributes:
        scratch: folder for photos and outputs, empty at first.
        model: bundle of ViT-L/14, by name or folder; None leaves out the arms that need it.
        clip_weights: the weights that the bundle was built from, in Hugging Face's layout; None leaves out
            the peer.
        own_photos: photos of the user, in place of generated ones; empty for generated ones.
        megapixels: of generated photos.
        turns: how often each way is timed.
        photos_a_turn: photos through the large encoder in one turn.
        starter_photos: the same through the starter, which takes milliseconds for each.
        device: "cpu" or "cuda".
    """

    scratch: Path
    model: str | None
    clip_weights: Path | None
    own_photos: list[Path]
    megapixels: float
    turns: int
    photos_a_turn: int
    starter_photos: int
    device: str

    @cached_property
    def large_model(self) -> str:
        """The bundle of ViT-L/14."""
        if self.model is None:
            raise NotHere("it needs --model, a bundle of geoclip-vit-l-14")
        return self.model

    @cached_property
    def theirs(self) -> Any:
        """The geoclip package's own model, loaded once."""
        if self.clip_weights is None:
            raise NotHere("it needs --clip-weights, the weights that the bundle was built from")
        from peers import load_geoclip

        return load_geoclip(self.clip_weights)

    def photos(self, count: int, megapixels: float | None = None) -> list[Path]:
        """At most so many of the user's photos, or exactly so many generated ones."""
        if self.own_photos and megapixels is None:
            return self.own_photos[:count]
        size = megapixels or self.megapixels
        folder = self.scratch / f"{count}-photos-{size:g}"
        return sorted(folder.iterdir()) if folder.exists() else write_natural_photos(folder, count, size)

    def written(self) -> dict[str, Any]:
        """What the figures depend on, for their record; no path of this machine."""
        return {
            "photos": "own" if self.own_photos else f"generated, {self.megapixels:g} megapixels",
            "turns": self.turns,
            "photos_a_turn": self.photos_a_turn,
            "starter_photos": self.starter_photos,
            "device": self.device,
        }
