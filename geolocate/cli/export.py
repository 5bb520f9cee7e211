"""`geolocate export`: torch encoders to an ONNX bundle, parity enforced."""

from __future__ import annotations

from pathlib import Path

import click

from geolocate.cli.parameters import FilePath, FiniteRange

#: What the command needs besides the runtime, to say so where it is missing.
EXTRA_MODULES = frozenset({"torch", "open_clip", "onnx", "onnxscript", "safetensors", "timm"})


def _name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from geolocate.manifest import NAME_PATTERN, NAME_RULE

    if not NAME_PATTERN.fullmatch(value):
        raise click.BadParameter(f"{value!r}: {NAME_RULE}")
    return value


@click.command("export", short_help="Export torch encoders to an ONNX bundle, parity enforced.")
@click.argument("checkpoint", required=False, type=FilePath(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=FilePath(path_type=Path), help="Folder of the new bundle.  [default: ./NAME]")
@click.option(
    "--name",
    callback=_name,
    help="Name of the bundle.  [default: the checkpoint's folder, or the training's; else starter]",
)
@click.option(
    "--gallery",
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns LAT and LON (any case); equal rows count as weight."
    "  [default: the starter's gallery]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32"]),
    default="fp32",
    show_default=True,
    help="Variant of the image encoder.",
)
@click.option(
    "--parity-limit",
    type=FiniteRange(min=0.0),
    default=1e-5,
    show_default=True,
    help="Largest difference between torch's and ONNX Runtime's embeddings; past it nothing is written.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle, once the new one is complete.")
def command(
    checkpoint: Path | None,
    output: Path | None,
    name: str | None,
    gallery: Path | None,
    precision: str,
    parity_limit: float,
    force: bool,
) -> None:
    """Export torch encoders to an ONNX bundle, parity enforced.

    CHECKPOINT is a folder with config.json and weights.safetensors, or a training's folder; without one, the
    newest training in ./training is exported, else the starter's own checkpoint. Every graph is compared with
    torch: past the parity limit the exit status is 1 and nothing is written.
    """
    del precision  # fp32 is all there is so far; click has refused everything else
    from geolocate.errors import ExtraMissing

    try:
        from geolocate_export.command import export_checkpoint
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in EXTRA_MODULES:
            raise ExtraMissing("geolocate export needs", "export") from None
        raise
    export_checkpoint(
        checkpoint,
        output=output,
        name=name,
        gallery=gallery,
        parity_limit=parity_limit,
        force=force,
        say=lambda message: click.echo(f"geolocate: {message}", err=True),
    )
