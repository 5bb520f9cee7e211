"""``geolocate doctor``: what works here, what does not, and the fix."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from geolocate.cli.options import model_options
from geolocate.cli.parameters import FiniteRange
from geolocate.cli.status import DONE, FAILED, is_terminal
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from geolocate.diagnosis import Finding, Report

#: How each state is told; all as wide as the widest.
LABELS = {"ok": "ok  ", "info": "note", "warning": "warn", "problem": "FAIL"}
#: Lines on a terminal are no wider, and no narrower.
WIDEST, NARROWEST = 110, 30


@click.command(name="doctor", short_help="Tell what works on this machine, what does not, and the fix.")
@model_options
@click.option(
    "--seconds",
    type=FiniteRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="N",
    help="How long the self-test measures.",
)
@click.option("--self-test/--no-self-test", default=True, show_default=True, help="Measure the pace.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")
def command(model: str | None, device: str, seconds: float, self_test: bool, as_json: bool) -> int:
    """Tell what works on this machine, what does not, and the fix.

    Looks at the installation, ONNX Runtime and its providers, CUDA, the models, and what the machine leaves
    to this process; then runs the pipeline over a drawn photo and tells which part is the slower one. It
    opens no connection.

    The exit status is 1 if something that was asked for cannot work: no model, two ONNX Runtime wheels at
    once, --device cuda without CUDA. A machine without CUDA is none of that.
    """
    from geolocate.diagnosis import examine

    report = examine(model, device, seconds if self_test else 0.0)
    if as_json:
        sections = [asdict(section) for section in report.sections]
        click.echo(
            json.dumps({"works": report.works, "device": report.device, "sections": sections}, indent=2)
        )
    else:
        for line in lines(report, _width()):
            click.echo(printable(line))
    return DONE if report.works else FAILED


def _width() -> int | None:
    """Columns of the terminal; None in a pipe, where one finding is one line."""
    if not is_terminal(sys.stdout):
        return None
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns - 1))


def lines(report: Report, width: int | None) -> Iterator[str]:
    """The report as lines of at most `width` columns, save for words that are longer; None for no limit."""
    for section in report.sections:
        yield section.title
        for finding in section.findings:
            yield from _lines_of(finding, width)
        yield ""
    yield from _wrapped(_verdict(report), width, "", "")


def _lines_of(finding: Finding, width: int | None) -> Iterator[str]:
    label = f"  {LABELS[finding.state]} "
    yield from _wrapped(finding.text, width, label, " " * len(label))
    if finding.fix is not None:
        fix = " " * len(label) + "fix: "
        yield from _wrapped(finding.fix, width, fix, " " * len(fix))


def _verdict(report: Report) -> str:
    problems = report.of("problem")
    if problems:
        things = "1 thing does" if len(problems) == 1 else f"{len(problems)} things do"
        return f"{things} not work here: {', '.join(finding.subject for finding in problems)}"
    device = "CUDA" if report.device == "cuda" else "the CPU"
    warnings = report.of("warning")
    aside = f"; see the {'warning' if len(warnings) == 1 else 'warnings'} above" if warnings else ""
    return f"geolocate works here, on {device}{aside}"


def _wrapped(text: str, width: int | None, first: str, later: str) -> list[str]:
    if width is None:
        return [first + text]
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
