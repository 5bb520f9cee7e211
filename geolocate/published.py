"""The bundles that can be built from published weights: what is fetched, from where, under which licence.

The weights are pinned by revision, size and SHA-256: a file that was changed anywhere on its way is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: The hub's own variable for a mirror; the hashes hold there too.
HUB_ENDPOINT_VARIABLE = "HF_ENDPOINT"
HUB_ENDPOINT = "https://huggingface.co"

CLIP_REPOSITORY = "openai/clip-vit-large-patch14"
CLIP_REVISION = "32bd64288804d66eefd0ccbe215aa642df71cc41"
#: Name, bytes and SHA-256 of what is fetched of it.
CLIP_FILES = (
    ("config.json", 4519, "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a"),
    ("model.safetensors", 1_710_540_580, "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"),
)


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of the network and what it has to be.

    Attributes:
        name: what it is called here.
        size: bytes.
        sha256: hex.
    """

    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PublishedBundle:
    """A bundle that `geolocate models pull` builds.

    Attributes:
        weights: names what is fetched.
        licence: of everything that goes in.
        heads: where the rest comes from, which is on this machine already.
        bundle_bytes: about what the finished bundle takes.
        build_bytes: about what the disk of the bundles must have free to build it.
    """

    name: str
    summary: str
    weights: str
    licence: str
    heads: str
    bundle_bytes: int
    build_bytes: int

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """What is fetched."""
        endpoint = (os.environ.get(HUB_ENDPOINT_VARIABLE) or HUB_ENDPOINT).rstrip("/")
        return tuple(
            PinnedFile(name, f"{endpoint}/{CLIP_REPOSITORY}/resolve/{CLIP_REVISION}/{name}", size, sha256)
            for name, size, sha256 in CLIP_FILES
        )

    @property
    def download_bytes(self) -> int:
        """Bytes of what is fetched."""
        return sum(file.size for file in self.files)


GEOCLIP = PublishedBundle(
    name="geoclip-vit-l-14",
    summary="the published GeoCLIP: CLIP ViT-L/14 under GeoCLIP's heads and gallery",
    weights=f"OpenAI's CLIP ViT-L/14 ({CLIP_REPOSITORY}, {CLIP_REVISION[:8]})",
    licence="CLIP: MIT, OpenAI; GeoCLIP: MIT; names of places: GeoNames, CC BY 4.0",
    heads="GeoCLIP's heads and gallery: the geoclip package of the 'export' extra",
    bundle_bytes=2_300_000_000,
    build_bytes=4_200_000_000,
)
PUBLISHED = {GEOCLIP.name: GEOCLIP}
