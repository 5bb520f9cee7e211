"""`geolocate models pull`: builds a published bundle on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from geolocate.cli.byte_bar import byte_bar, size_text
from geolocate.cli.parameters import FilePath
from geolocate.published import PUBLISHED, PublishedBundle
from geolocate.text_safety import printable

#: What building a bundle needs besides the runtime; geoclip only where its files are not given.
BUILD_MODULES = ("torch", "open_clip", "onnx", "onnxruntime", "safetensors")
HEADS_MODULE = "geoclip"
#: The hub client, which the libraries of the build bring along, would tell of its use.
NO_TELEMETRY = "HF_HUB_DISABLE_TELEMETRY"
FETCHED_FOLDER = "clip-vit-large-patch14"

FORCE = click.option(
    "--force", is_flag=True, help="Replace a bundle of that name, once the new one is complete."
)
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command("pull", short_help="Build a published bundle here, fetching its weights.")
@click.argument("name", type=click.Choice(list(PUBLISHED)))
@click.option(
    "--clip-weights",
    type=FilePath(exists=True, path_type=Path),
    metavar="DIR|FILE",
    help="CLIP ViT-L/14 that is on this machine: a folder in Hugging Face's or open_clip's layout, or a "
    "file of open_clip's or OpenAI's. Nothing is fetched then.",
)
@click.option(
    "--heads",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with GeoCLIP's weights and gallery.  [default: the installed geoclip package]",
)
@click.option(
    "--photos",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Some photos of yours, at least 16 and the more mixed the better: from them the model learns where "
    "photos lie beside texts. Without it `query` is less exact and there are no concepts.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["int8", "fp16"]),
    multiple=True,
    default=("int8",),
    show_default=True,
    help="Variants beside fp32: int8 for the CPU, fp16 for CUDA. May be repeated.",
)
@YES
@FORCE
def pull_command(
    name: str,
    clip_weights: Path | None,
    heads: Path | None,
    photos: Path | None,
    precisions: tuple[str, ...],
    yes: bool,
    force: bool,
) -> None:
    """Build a published bundle here, fetching its weights.

    Says what it will fetch, from where, how large and under which licence, and asks. A run that was cut off
    goes on where it was. Needs the 'export' extra; the bundle that it builds does not.
    """
    from geolocate.bundle import load_bundle
    from geolocate.bundle_store import arriving_bundle, refuse_taken, require_space, user_folder
    from geolocate.errors import BundleNotFound

    published = PUBLISHED[name]
    if not force and (user_folder() / name).is_dir():
        try:
            say(f"{name} is installed at {load_bundle(name).path}; --force builds it again")
            return
        except BundleNotFound:
            pass  # a folder without a manifest: refused below
    refuse_taken(name, force)
    _require_extra(heads)
    fetched = weights_folder()
    needed = {user_folder(): published.build_bytes}
    if clip_weights is None:
        needed[fetched] = _still_to_fetch(published, fetched)
    require_space(needed)
    _announce(published, clip_weights, heads, needed)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    with arriving_bundle(name, force=force) as built:
        weights = clip_weights if clip_weights is not None else _fetch(published, fetched)
        _build_geoclip(built, weights, heads, photos, precisions)
    say(f"{name} is installed at {user_folder() / name}; predict takes it from now on")
    if clip_weights is None:
        say(f"the fetched weights are in {fetched} and no longer needed")


def weights_folder() -> Path:
    """Where fetched weights are kept until their bundle is built, and after."""
    from geolocate.private_files import cache_root

    return cache_root() / FETCHED_FOLDER


def _require_extra(heads: Path | None) -> None:
    """Raises ExtraMissing at once, before anything is asked or fetched; imports nothing."""
    from importlib.util import find_spec

    from geolocate.errors import ExtraMissing

    modules = BUILD_MODULES if heads is not None else (*BUILD_MODULES, HEADS_MODULE)
    if any(find_spec(module) is None for module in modules):
        raise ExtraMissing("geolocate models pull needs", "export")


def _still_to_fetch(published: PublishedBundle, folder: Path) -> int:
    from geolocate.pinned_download import missing_bytes

    return sum(missing_bytes(file, folder) for file in published.files)


def _announce(
    published: PublishedBundle, clip_weights: Path | None, heads: Path | None, needed: dict[Path, int]
) -> None:
    """Says what will be done, on standard error."""
    if clip_weights is None:
        host = published.files[0].url.split("/")[2]
        left = _still_to_fetch(published, weights_folder())
        present = f", {size_text(left)} of it still to come" if left != published.download_bytes else ""
        lines = [f"fetches {published.weights} from {host}: {size_text(published.download_bytes)}{present}"]
    else:
        lines = [f"takes CLIP ViT-L/14 from {clip_weights}; nothing is fetched"]
    lines += [
        f"takes {published.heads}" if heads is None else f"takes GeoCLIP's heads and gallery from {heads}",
        f"licences: {published.licence}",
        f"builds {published.name}, about {size_text(published.bundle_bytes)}; "
        f"free disk wanted meanwhile: {size_text(sum(needed.values()))}",
    ]
    for line in lines:
        say(line)


def _fetch(published: PublishedBundle, folder: Path) -> Path:
    """Brings the weights; the one line that helps where they cannot be had."""
    from geolocate.errors import WeightsError
    from geolocate.pinned_download import fetch

    try:
        with byte_bar("fetching") as bar:
            bar.start(published.name, published.download_bytes)
            for file in published.files:
                fetch(file, folder, advance=bar.advance)
    except WeightsError as error:
        raise WeightsError(
            f"{error}; try again when there is network (it goes on where it was), or bring the folder of "
            f"{published.weights} from elsewhere and name it with --clip-weights"
        ) from error
    return folder


def _build_geoclip(
    built: Path, weights: Path, heads: Path | None, photos: Path | None, precisions: tuple[str, ...]
) -> None:
    """Exports the published GeoCLIP to the folder `built`."""
    import os

    os.environ[NO_TELEMETRY] = "1"  # read when the hub client is imported
    from geolocate_export.published_geoclip import build_geoclip

    build_geoclip(built, weights, heads, photos=photos, precisions=("fp32", *precisions), say=say)


def say(text: str) -> None:
    """A message for the user, on standard error."""
    click.echo(f"geolocate: {printable(text)}", err=True)
