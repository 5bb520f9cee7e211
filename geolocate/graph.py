"""One ONNX graph on a device: opened, held against what it should be, and called with arrays.

On a GPU its constants, such as a gallery of 200 MB, are put into the device's memory once; each call binds
its own inputs and outputs, so calls of several threads overlap: one copies while the other computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from geolocate.device import CPU_PROVIDER, CUDA_OPTIONS, CUDA_PROVIDER
from geolocate.errors import BundleDamaged, DeviceError
from geolocate.graph_check import check_graph_file
from geolocate.machine import usable_cores
from geolocate.text_safety import first_line

#: What ONNX Runtime's messages say where memory ran out: its arena, the CUDA runtime, cuBLAS and cuDNN.
OUT_OF_MEMORY_SIGNS = (
    "Failed to allocate memory",
    "bad_alloc",
    "BFCArena",
    "bfc_arena",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
#: ONNX Runtime's log level: errors reach the user as exceptions, not as lines on standard error.
LOG_FATAL = 4

#: Threads of one call wait for each other awake, which is a tenth faster, but for nothing after it: the cores
#: are wanted for decoding. Work is dealt out in finer blocks, so that none waits for one that was held up.
SESSION_CONFIG = {
    "session.intra_op.allow_spinning": "1",
    "session.force_spinning_stop": "1",
    "session.dynamic_block_base": "4",
}

#: Name -> (element type, sizes; None for a size that is free).
Nodes = Mapping[str, tuple[str, Sequence[int | None]]]


class Graph:
    """A graph as a function of arrays.

    Args:
        path: of the ONNX file.
        device: what it runs on.
        threads: threads inside one operator; 0 takes one per core that this process may use.
        constants: inputs that are the same at each call, by name.

    Attributes:
        session: as ONNX Runtime has it.

    Raises:
        BundleDamaged: the graph is refused by :mod:`geolocate.graph_check`, or ONNX Runtime cannot load it.
        DeviceError: the session does not really run on CUDA.
    """

    def __init__(
        self,
        path: Path,
        device: Literal["cuda", "cpu"],
        threads: int = 0,
        constants: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self.name = path.name
        self.session = _open_session(path, device, threads)
        self._constants = dict(constants or {})
        self._bound = self._bind(device) if device == "cuda" else None

    def _bind(self, device: Literal["cuda", "cpu"]) -> BoundGraph:
        try:
            return BoundGraph(self.session, device, self._constants)
        except Exception as error:  # ONNX Runtime has no common base class of its exceptions
            raise DeviceError(f"{self.name} does not fit on {device}: {first_line(error)}") from error

    def __call__(
        self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        """The named outputs; safe to call from several threads.

        Raises:
            MemoryError: the device has too little memory for these inputs.
            BundleDamaged, DeviceError: the graph fails on them.
        """
        try:
            if self._bound is not None:
                return self._bound(outputs, inputs)
            result: list[NDArray[np.float32]] = self.session.run(
                list(outputs), self._constants | dict(inputs)
            )
        except MemoryError:  # Python's own
            raise
        except Exception as error:  # ONNX Runtime has no common base class of its exceptions
            if any(sign in str(error) for sign in OUT_OF_MEMORY_SIGNS):
                raise MemoryError(first_line(error)) from error
            if self._bound is not None:
                raise DeviceError(f"{self.name} cannot be run on CUDA: {first_line(error)}") from error
            raise BundleDamaged(f"{self.name} cannot be run: {first_line(error)}") from error
        return result

    def check(self, inputs: Nodes, outputs: Nodes, optional: Sequence[str] = ()) -> None:
        """Holds names, types and fixed sizes against those expected; `optional` outputs need not be there.

        Raises:
            BundleDamaged: they differ; says in what.
        """
        for kind, nodes, expected in (
            ("input", self.session.get_inputs(), inputs),
            ("output", self.session.get_outputs(), outputs),
        ):
            found = {node.name: node for node in nodes}
            if not set(expected) - set(optional) <= set(found) <= set(expected):
                raise BundleDamaged(
                    f"{self.name} has the {kind}s {sorted(found)}, expected {sorted(expected)}"
                )
            for key, node in found.items():
                dtype, shape = expected[key]
                fits = len(node.shape) == len(shape) and all(
                    want is None or not isinstance(have, int) or have == want
                    for have, want in zip(node.shape, shape, strict=True)
                )
                if node.type != f"tensor({dtype})" or not fits:
                    raise BundleDamaged(
                        f"{self.name}: {kind} '{key}' is {node.type} {node.shape}, "
                        f"expected tensor({dtype}) {list(shape)}"
                    )


class BoundGraph:
    """A session whose inputs and outputs are bound: constants once, the rest call by call.

    Args:
        session: on that device.
        device: whose memory the constants are put into.
        constants: inputs that are the same at each call, by name.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        device: Literal["cuda", "cpu"],
        constants: Mapping[str, NDArray[Any]],
    ) -> None:
        self._session = session
        self._constants = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), device)
            for name, array in constants.items()
        }

    def __call__(
        self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        """The named outputs, in the memory of the CPU."""
        binding = self._session.io_binding()
        for name, value in self._constants.items():
            binding.bind_ortvalue_input(name, value)
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        results: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return results


def page_locked(shape: Sequence[int], dtype: type[np.generic]) -> NDArray[Any]:
    """An array in memory that a GPU reads by itself, where ONNX Runtime hands out such; else in any."""
    for provider in onnxruntime.get_ep_devices():
        if provider.ep_name == CUDA_PROVIDER:
            memory = provider.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if memory is None:
                continue
            try:
                value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                    list(shape), dtype, memory_info=memory
                )
            except Exception:  # none left, or none to be had: any memory does, only slower
                break
            return np.asarray(value)  # which keeps `value` alive
    return np.empty(shape, dtype)


def _open_session(path: Path, device: Literal["cuda", "cpu"], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = LOG_FATAL
    # ONNX Runtime's own choice is the machine's cores, however few of them a container or an affinity leaves.
    options.intra_op_num_threads = threads or usable_cores()
    for name, value in SESSION_CONFIG.items():
        options.add_session_config_entry(name, value)
    providers: list[Any] = [CPU_PROVIDER]
    if device == "cuda":
        providers.insert(0, (CUDA_PROVIDER, CUDA_OPTIONS))
    check_graph_file(path)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime has no common base class of its exceptions
        signs = ("cuda", "cudnn", "cublas", *map(str.lower, OUT_OF_MEMORY_SIGNS))
        if device == "cuda" and any(sign in str(error).lower() for sign in signs):
            raise DeviceError(f"CUDA does not work here: {first_line(error)}") from error
        if any(sign in str(error) for sign in OUT_OF_MEMORY_SIGNS):
            raise MemoryError(first_line(error)) from error
        raise BundleDamaged(f"{path.name} cannot be loaded: {first_line(error)}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA_PROVIDER:
        raise DeviceError(
            "CUDA does not work here: ONNX Runtime fell back to the CPU while it opened the graph"
        )
    return session
