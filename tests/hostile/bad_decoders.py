"""A decoder process whose decoder does what the name of the photo says."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from geolocate import decode_worker
from geolocate.decode_frames import GREETING
from geolocate.decoded_item import DecodedItem, DecodeOptions, decode_item

#: Runs :func:`main` in a process that looks for modules where the tests do.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from hostile.bad_decoders import main; main()"
)
#: What a decoder that was taken over may write in place of an answer.
FORGERIES = {
    "pickle": b"\x80\x04cposix\nsystem\n\x8c\x02id\x85R.",
    "length": b"E" + b"\xff" * 4 + b"x" * 4096,
    "nan": b"P\x03" + b"\xff" * 30,
    "greeting": GREETING,
}


def main() -> None:
    decode_worker.decode_item = decode  # type: ignore[assignment]
    decode_worker.main()


def decode(photo: str, size: int, options: DecodeOptions, exif: bool) -> DecodedItem:
    word = Path(photo).name.partition(".")[0]
    if word.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, word))
    elif word == "exit":
        os._exit(7)
    elif word == "hang":
        while True:
            pass
    elif word == "sleep":
        time.sleep(600)
    elif word == "hungry":
        return DecodedItem(photo, error=str(len(b"x" * 2**36)))
    elif word == "writes":
        Path(photo).with_suffix(".written").write_bytes(b"x")
    elif word == "fault":
        raise KeyError("a fault of ours")
    elif word in FORGERIES:
        for descriptor in range(3, 12):  # one of them is the pipe
            try:
                os.write(descriptor, FORGERIES[word])
            except OSError:
                continue
        time.sleep(600)
    print("libraries print", flush=True)
    sys.__stdout__ and sys.__stdout__.flush()
    return decode_item(photo, size, options, exif)
