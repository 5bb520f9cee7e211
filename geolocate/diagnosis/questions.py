"""Questions to a process of its own: what loads native libraries may crash there, hang there, and print.

The answer comes as JSON on the worker's standard output; see :mod:`geolocate.diagnosis.worker`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: How long a process may take for an answer: the first load of CUDA's libraries from a slow disk takes long.
ANSWER_LIMIT_S = 120.0
#: A longer complaint is cut.
COMPLAINT_LENGTH = 600

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said.

    Attributes:
        values: its answer; empty where it gave none.
        failure: why it gave none: it crashed, hung, or could not start; None where it answered.
        complaints: what libraries wrote on its standard error meanwhile.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None
    complaints: str = ""


def ask(question: str, limit_s: float = ANSWER_LIMIT_S, **arguments: Any) -> Answer:
    """Asks a new process; never raises for what happens in it.

    Args:
        question: a name of :data:`geolocate.diagnosis.worker.QUESTIONS`.
        arguments: of that question, plain values.
    """
    # The same modules as here, whatever the working folder holds: -P keeps that off the path.
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [sys.executable, "-P", "-m", "geolocate.diagnosis.worker", question, json.dumps(arguments)]
    try:
        done = subprocess.run(
            words,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(failure=f"gave no answer within {limit_s:.0f} s")
    except OSError as error:
        return Answer(failure=f"no process could be started: {error.strerror or error}")
    complaints = _COLOURS.sub("", done.stderr.decode("utf-8", "replace")).strip()
    if done.returncode < 0:
        return Answer(failure=f"crashed with {_signal_name(-done.returncode)}", complaints=complaints)
    try:
        values = json.loads(done.stdout)
    except ValueError:
        last = (complaints.splitlines() or [f"exit status {done.returncode}"])[-1]
        return Answer(failure=last[:COMPLAINT_LENGTH], complaints=complaints)
    return Answer(values, complaints=complaints)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
