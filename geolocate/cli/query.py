"""``geolocate query``: a text in, places out."""

from __future__ import annotations

from typing import Any

import click

from geolocate.cli.locating import locate_and_write
from geolocate.cli.options import (
    SharedOptions,
    answer_options,
    message_options,
    model_options,
    naming_options,
    output_options,
    prior_options,
    ranking_options,
)
from geolocate.errors import UsageError


@click.command(name="query", short_help="Tell where a photo that a text describes would have been taken.")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@ranking_options
@answer_options
@prior_options
@output_options
@naming_options
@model_options
@message_options
def command(texts: tuple[str, ...], **shared: Any) -> int:
    """Tell where a photo that a text describes would have been taken.

    Each TEXT, such as "a souk in the desert", gets rows like those of a photo. A text longer than the model
    reads (about 75 words) loses its end; the row's notes then say truncated.
    """
    options = SharedOptions(**shared)
    if not all(text.strip() for text in texts):
        raise UsageError("a text to look for is empty")
    return locate_and_write(
        options,
        lambda geolocator, _, finished: geolocator.query(
            [text for text in texts if not finished.take(text)],
            top_k=options.top_k,
            ranking=options.ranking,
            by=options.by,
            abstain_km=options.abstain,
        ),
        what="texts",
        inputs=list(texts),
        settings={},
        count=lambda: len(texts),
        total=lambda: len(texts),
    )
