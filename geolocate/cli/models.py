"""`geolocate models`: which bundles there are, and how they come, go and are checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geolocate.cli.byte_bar import byte_bar, size_text
from geolocate.cli.parameters import FilePath
from geolocate.cli.pull import FORCE, YES, pull_command, say
from geolocate.cli.status import DONE, FAILED, is_terminal
from geolocate.published import PUBLISHED
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from geolocate.bundle import Manifest

PREDICT_VARIABLE = "GEOLOCATE_MODEL"

_as_json = click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")


@click.group("models", short_help="List, add, check, remove and pull bundles.")
def command() -> None:
    """List, add, check, remove and pull bundles: the folders that hold all that a model needs."""


command.add_command(pull_command)


@command.command("list", short_help="Which bundles are installed and which can be pulled.")
@_as_json
def list_command(as_json: bool) -> None:
    """Which bundles are installed and which can be pulled."""
    from geolocate.bundle_store import list_bundles

    bundles = list_bundles()
    pullable = [published for name, published in PUBLISHED.items() if name not in {b.name for b in bundles}]
    if as_json:
        _print_json(
            {
                "installed": [
                    {
                        "name": bundle.name,
                        "version": bundle.manifest.version if bundle.manifest else None,
                        "bytes": bundle.size,
                        "precisions": list(bundle.manifest.precisions) if bundle.manifest else [],
                        "trained": bundle.manifest.trained if bundle.manifest else None,
                        "packaged": bundle.packaged,
                        "default": bundle.default,
                        "folder": str(bundle.path),
                        "problem": bundle.problem,
                    }
                    for bundle in bundles
                ],
                "pullable": [
                    {
                        "name": published.name,
                        "summary": published.summary,
                        "weights": published.weights,
                        "download_bytes": published.download_bytes,
                        "bundle_bytes": published.bundle_bytes,
                        "licence": published.licence,
                    }
                    for published in pullable
                ],
            }
        )
        return
    rows = [("", "NAME", "VERSION", "SIZE", "PRECISIONS", "STATE", "FOLDER")]
    for bundle in bundles:
        manifest = bundle.manifest
        rows.append(
            (
                "*" if bundle.default else "",
                bundle.name,
                manifest.version if manifest else "?",
                size_text(bundle.size) if manifest else "?",
                ",".join(manifest.precisions) if manifest else "?",
                "damaged"
                if bundle.problem
                else ("trained" if manifest and manifest.trained else "untrained"),
                f"{bundle.path}{' (packaged)' if bundle.packaged else ''}",
            )
        )
    _print_columns(rows)
    _print(f"* predict takes it, unless --model or {PREDICT_VARIABLE} names another.")
    for bundle in bundles:
        if bundle.problem:
            _print(f"\n{bundle.name} is damaged: {bundle.problem}")
    for published in pullable:
        _print(
            f"\nCan be pulled: {published.name}, {published.summary}.\n"
            f"It fetches {size_text(published.download_bytes)} and takes about "
            f"{size_text(published.bundle_bytes)}:\n"
            f"  geolocate models pull {published.name}"
        )


@command.command("info", short_help="What a bundle is: facts, parity, accuracy, licence, card.")
@click.argument("model", metavar="NAME|DIR", type=FilePath())
@_as_json
def info_command(model: str, as_json: bool) -> None:
    """What a bundle is: facts, parity, accuracy, licence, card."""
    from geolocate.bundle import CARD, find_bundle, read_bundle

    bundle = read_bundle(find_bundle(model))
    manifest = bundle.manifest
    card = str(bundle.path / CARD) if bundle.has(CARD) else None
    if as_json:
        values = json.loads(manifest.to_json())
        _print_json({"folder": str(bundle.path), "sha256": bundle.sha256, "card": card, **values})
        return
    facts = {
        "name": manifest.name,
        "version": manifest.version,
        "trained": "yes" if manifest.trained else "no: its places are chance",
        "licence": manifest.licence,
        "source": manifest.source,
        "folder": str(bundle.path),
        "card": card or "none",
        "size": f"{size_text(_size(manifest))} in {len(manifest.files)} files",
        "sha256": f"{bundle.sha256} (of the manifest, which holds those of the files)",
        "input": f"{manifest.image.size} x {manifest.image.size} pixels, {manifest.image.resize}",
        "precisions": ", ".join(manifest.precisions),
        "features": f"{manifest.feature_dim} wide",
        "embedding": f"{manifest.embedding_dim} wide",
        "concepts": f"{manifest.concept_count:,}" if manifest.concept_count else "none",
        "factor": f"{manifest.logit_factor:.6g} on the cosine, temperature {manifest.temperature:g} included",
    }
    _print_facts(facts)
    _print("\nParity, torch against ONNX Runtime:" if manifest.parity else "\nParity: not measured")
    _print_facts(_flat(manifest.parity), indent="  ")
    _print("\nAccuracy:" if manifest.accuracy else "\nAccuracy: not measured")
    _print_facts(_flat(manifest.accuracy), indent="  ")


@command.command("verify", short_help="Check every file of a bundle against its SHA-256.")
@click.argument("model", metavar="[NAME|DIR]", required=False, type=FilePath())
def verify_command(model: str | None) -> int:
    """Check every file of a bundle against its SHA-256; of all installed bundles, if none is named.

    Files that the manifest does not list are named too. The exit status is 1 if anything is wrong.
    """
    from geolocate.bundle import find_bundle, installed_bundles, read_bundle
    from geolocate.bundle_store import verify_bundle
    from geolocate.errors import BundleDamaged

    folders = [find_bundle(model)] if model is not None else list(installed_bundles().values())
    wrong = 0
    for folder in folders:
        try:
            bundle = read_bundle(folder)
        except BundleDamaged as error:
            _print(str(error))
            wrong += 1
            continue
        _print(f"{folder}:")
        for name, problem in verify_bundle(bundle):
            click.echo(printable(f"  {name}: {problem or 'ok'}"))
            wrong += problem is not None
    if wrong:
        say("1 file is not as it should be" if wrong == 1 else f"{wrong:,} files are not as they should be")
    return FAILED if wrong else DONE


@command.command("add", short_help="Install a bundle from a folder or a ZIP archive.")
@click.argument("source", metavar="DIR|ZIP", type=FilePath(path_type=Path))
@click.option("--name", metavar="NAME", help="Name to install it under.  [default: its own]")
@FORCE
def add_command(source: Path, name: str | None, force: bool) -> None:
    """Install a bundle from a folder or a ZIP archive, such as one that was built on another machine.

    Every file is checked against its SHA-256 before anything is installed. No code in it is ever executed,
    but its graphs are run: a bundle from a stranger is like a program from a stranger (see SECURITY.md).
    """
    from geolocate.bundle_store import add_bundle

    say("a bundle is like a program: add only those of people whom you trust")
    with byte_bar("copying") as bar:
        bundle = add_bundle(source, name=name, force=force, start=bar.start, advance=bar.advance)
    say(f"added {bundle.path.name} ({size_text(_size(bundle.manifest))}) to {bundle.path.parent}")


@command.command("remove", short_help="Remove an installed bundle.")
@click.argument("name")
@YES
def remove_command(name: str, yes: bool) -> None:
    """Remove an installed bundle; what came with the program stays."""
    from geolocate.bundle_store import describe_bundle, removable, remove_bundle

    path = removable(name)
    if not yes:
        size = size_text(describe_bundle(name, path).size)
        click.confirm(printable(f"Remove {path} ({size})?"), abort=True, err=True)
    say(f"removed {remove_bundle(name)}")


def _size(manifest: Manifest) -> int:
    return sum(entry.size for entry in manifest.files.values())


def _flat(values: Any, prefix: str = "") -> dict[str, str]:
    """Nested tables as one, "image_encoder.n": what a manifest measured, whatever it is."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = f"{value:.7g}" if isinstance(value, float) else str(value)
    return flat


def _print_columns(table: Sequence[tuple[str, ...]]) -> None:
    """A table; where the terminal is too narrow for it, one thing a line."""
    import shutil

    rows = [tuple(printable(str(cell)) for cell in row) for row in table]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    if is_terminal(sys.stdout) and sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns:
        for row in rows[1:]:
            _print(f"{row[0] or ' '} {row[1]}")
            for title, cell in zip(rows[0][2:], row[2:], strict=True):
                _print(f"    {title.lower()}: {cell}")
        return
    for row in rows:
        _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_facts(facts: dict[str, str], indent: str = "") -> None:
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        click.echo(printable(f"{indent}{name.ljust(width)}  {value}"))  # no line of its own making


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def _print(text: str) -> None:
    click.echo(printable(text, newlines=True))
