"""Embeddings as files for other programs: NPY with a list of its rows beside it, or Parquet.

Both are written as the rows come, so memory does not grow with their number, and appear when complete.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import ExtraMissing
from geolocate.text_safety import to_bytes, to_unicode
from geolocate.writers.arrow_file import TargetFile
from geolocate.writers.csv import cell
from geolocate.writers.rows import safe_path
from geolocate.writers.target import FileTarget, discard

#: Beside ``NAME.npy``: which row is which photo, and what failed.
ROWS_SUFFIX = ".rows.csv"
#: Embeddings in one row group of a Parquet file.
ROW_GROUP = 4096

#: What tells whose an embedding is: `photo` and `error` of a photo, `latitude` and `longitude` of a point.
Label: TypeAlias = Mapping[str, str | float | None]


class EmbeddingWriter(Protocol):
    """One output of embeddings."""

    def write(self, label: Label, embedding: NDArray[np.float32] | None) -> None:
        """Writes the embedding (d,) of one photo or point; None where it failed. Raises OutputError."""

    def close(self) -> None:
        """The run is complete: makes the output visible. Raises OutputError."""

    def abort(self) -> None:
        """The run is not complete: nothing of it stays. Never raises."""


class NpyWriter:
    """An array float32 (N, d); what failed has no row in it.

    Args:
        target: of the array.
        width: d.
        rows: of the list of rows; None writes none, where everything has its row.
    """

    def __init__(self, target: FileTarget, width: int, rows: FileTarget | None = None) -> None:
        self._target = target
        self._width = width
        self._rows = rows
        self._count = 0
        target.write(_npy_header(0, width))
        if rows is not None:
            rows.write(b"row,photo,error\n")

    def write(self, label: Label, embedding: NDArray[np.float32] | None) -> None:
        """See :class:`EmbeddingWriter`."""
        if embedding is not None:
            self._target.write(np.ascontiguousarray(embedding, dtype="<f4").tobytes())
        if self._rows is not None:
            number = None if embedding is None else self._count
            cells = (
                cell("row", number),
                cell("photo", safe_path(str(label["photo"]))),
                cell("error", label["error"]),
            )
            self._rows.write(to_bytes(",".join(cells) + "\n"))
        self._count += embedding is not None

    def close(self) -> None:
        """See :class:`EmbeddingWriter`."""
        self._target.rewrite_start(_npy_header(self._count, self._width))
        if self._rows is not None:
            self._rows.commit()
        self._target.commit()

    def abort(self) -> None:
        """See :class:`EmbeddingWriter`."""
        discard(self._target, self._rows)


def _npy_header(count: int, width: int) -> bytes:
    """Of a C-ordered float32 (count, width); of one length whatever the count, as numpy pads it for that."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    )
    return header.getvalue()


class ParquetWriter:
    """A row for each photo or point: its label, and `embedding`, a list of d float32 or null where it failed.

    Args:
        columns: of the labels, with their types "string" or "double".
        metadata: kept in the file under the key `geolocate`.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """

    def __init__(
        self, target: FileTarget, width: int, columns: Mapping[str, str], metadata: Mapping[str, Any]
    ) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ExtraMissing("Parquet files need", "parquet") from None
        self._target = target
        self._columns = columns
        self._schema = pyarrow.schema(
            [(name, getattr(pyarrow, kind)()) for name, kind in columns.items()]
            + [("embedding", pyarrow.list_(pyarrow.float32(), width))],
            metadata={"geolocate": json.dumps(dict(metadata))},
        )
        self._batch = pyarrow.RecordBatch.from_pydict
        self._writer = parquet.ParquetWriter(
            pyarrow.PythonFile(TargetFile(target), mode="w"), self._schema, compression="zstd"
        )
        self._waiting: list[tuple[Label, NDArray[np.float32] | None]] = []

    def write(self, label: Label, embedding: NDArray[np.float32] | None) -> None:
        """See :class:`EmbeddingWriter`."""
        self._waiting.append((label, embedding))
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        table: dict[str, Sequence[Any]] = {
            name: [to_unicode(value) if isinstance(value, str) else value for value in values]
            for name, values in (
                (name, [label[name] for label, _ in self._waiting]) for name in self._columns
            )
        }
        table["embedding"] = [embedding for _, embedding in self._waiting]
        self._waiting = []
        self._writer.write_batch(self._batch(table, schema=self._schema))

    def close(self) -> None:
        """See :class:`EmbeddingWriter`."""
        if self._waiting:
            self._flush()
        self._writer.close()
        self._target.commit()

    def abort(self) -> None:
        """See :class:`EmbeddingWriter`."""
        self._writer.is_open = False  # closing it would write a footer
        discard(self._target)
