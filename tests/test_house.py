"""The plan of the house: who may import whom, and what a start costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Layers of the runtime from top to bottom; a module imports from its own layer and those below.
LAYERS = (
    ("__main__", "cli"),
    (
        "geolocator",
        "explanation",
        "evaluation",
        "writers",
        "results",
        "sharding",
        "merging",
        "tagging",
        "diagnosis",
        "distributed",
    ),
    (
        "gallery",
        "gallery_csv",
        "extra_points",
        "position_table",
        "land_outline",
        "ranking",
        "concepts",
        "gallery_concepts",
        "intervention",
        "contrast",
        "concept_map",
        "bottleneck",
        "drawing",
        "priors",
        "album",
        "album_evidence",
        "album_fixes",
        "known",
        "placing",
        "regions",
        "places",
        "offline_geocoder",
        "geocoding",
        "geocode_answers",
        "geocode_cache",
        "geocode_http",
        "geocode_services",
        "session",
        "graph",
        "device",
        "photos",
        "photo_names",
        "sources",
        "exif",
        "text",
        "decoding",
        "decode_frames",
        "decode_processes",
        "decode_worker",
        "decoded_item",
        "encoding",
        "duplicates",
        "encoding_ahead",
        "encoded_image",
        "embedded_gallery",
        "embedding_cache",
        "reference",
        "reference_photos",
        "bundle_store",
        "bundle_source",
        "published",
        "pinned_download",
    ),
    (
        "bundle",
        "manifest",
        "exif_block",
        "records",
        "errors",
        "equal_earth",
        "sphere",
        "geodesic",
        "text_safety",
        "file_lock",
        "confined_open",
        "regular_file",
        "untrusted_json",
        "untrusted_arrays",
        "graph_check",
        "private_files",
        "cache_kinds",
        "cache_file",
        "machine",
        "runtime_wheels",
        "runtime_wheels",
    ),
)
LAYER_OF = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
#: Commands whose bodies, and nothing else, may import the torch side.
TORCH_COMMANDS = ("export.py", "train.py", "pull.py")
HEAVY = ("torch", "numpy", "PIL", "onnxruntime", "geopy", "exifread", "rich")


def modules() -> list[Path]:
    return sorted((ROOT / "geolocate").rglob("*.py"))


def room(path: Path) -> str:
    """The module or package directly below geolocate that a file belongs to."""
    return path.relative_to(ROOT / "geolocate").parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module))
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "geolocate"}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_downwards_only(path: Path) -> None:
    if path.parent == ROOT / "geolocate" and path.name == "__init__.py":
        return
    assert room(path) in LAYER_OF, f"{path} has no place in the plan of the house"
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "geolocate" and len(parts) > 1 and parts[1] in LAYER_OF:
            assert LAYER_OF[parts[1]] >= LAYER_OF[room(path)], f"{path} imports {name} from above"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_runtime_never_imports_torch(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside_commands = room(path) == "cli" and path.name in TORCH_COMMANDS
    for name in imported(tree):
        top = name.split(".")[0]
        assert top not in ("torch", "open_clip", "torchvision", "onnx", "onnxscript"), (
            f"{path} imports {name}"
        )
        assert top != "geolocate_export" or inside_commands, f"{path} imports {name}"
    if inside_commands:
        toplevel = ast.Module(
            [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], type_ignores=[]
        )
        assert not any(name.startswith("geolocate_export") for name in imported(toplevel))


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_the_command_line_starts_with_click_and_the_standard_library_alone() -> None:
    loaded = run_python(
        "import sys; before = set(sys.modules)\n"
        "import geolocate.cli, geolocate.cli.predict, geolocate.cli.export\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules and name not in before])"
    )
    assert loaded == ""


def test_help_and_version_load_nothing_heavy() -> None:
    for argument in ("--help", "--version"):
        loaded = run_python(
            "import sys, geolocate.cli as cli\n"
            "sys.stdout, out = sys.stderr, sys.stdout\n"
            f"try: cli.cli.main([{argument!r}])\nexcept SystemExit as e: assert not e.code, e.code\n"
            f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=out)"
        )
        assert loaded == "", argument


def test_a_whole_run_loads_no_torch_and_opens_no_socket(drawn_photos: Path) -> None:
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.__init__ = refuse; socket.getaddrinfo = refuse; socket.create_connection = refuse\n"
        "sys.addaudithook(lambda event, args: refuse() if event.startswith('socket.') else None)\n"
        "import geolocate.cli as cli\n"
        f"try: cli.cli.main(['-q', '--csv', '-', {os.fspath(drawn_photos)!r}])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules, 'torch'\n"
        "print('done')"
    )
    lines = run_python(code).splitlines()
    assert lines[-1] == "done"
    assert len(lines) == 2 + len(list(drawn_photos.iterdir()))  # header, rows, "done"


def test_python_users_get_the_geolocator_from_the_package_and_pay_only_then() -> None:
    assert run_python("import sys, geolocate; print('numpy' in sys.modules)") == "False"
    assert (
        run_python("from geolocate import Geolocator; print(Geolocator.__module__)") == "geolocate.geolocator"
    )


def test_ci_runs_the_test_command_of_the_readme_word_for_word() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    command = script[-1]
    assert command.endswith("scripts/check")
    assert command in readme


def test_no_file_is_above_20_mb_and_no_file_names_where_it_was_built() -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if files.returncode:
        pytest.skip("not a git checkout")
    for name in files.stdout.decode().split("\0")[:-1]:
        path = ROOT / name
        if path.is_file():
            assert path.stat().st_size <= 20_000_000, name
            assert os.fsencode(os.fspath(ROOT) + "/") not in path.read_bytes(), f"{name} holds {ROOT}"


def test_onnx_runtime_tells_nobody_and_leaves_no_device_id(tmp_path: Path, drawn_photos: Path) -> None:
    # Without any sign of a test machine in the environment: ONNX Runtime is silent on those by itself.
    surroundings = {"PATH": os.environ["PATH"], "HOME": os.fspath(tmp_path), "TMPDIR": os.fspath(tmp_path)}
    for code in (
        f"import geolocate.cli as cli; cli.cli.main(['-q', '--csv', '-', {os.fspath(drawn_photos)!r}])",
        "import geolocate_export.parity as parity, onnx, onnx.helper as h\n"
        "x = h.make_tensor_value_info('x', 1, [1]); y = h.make_tensor_value_info('y', 1, [1])\n"
        "graph = h.make_graph([h.make_node('Abs', ['x'], ['y'])], 'g', [x], [y])\n"
        "parity.cpu_session(h.make_model(graph, opset_imports=[h.make_opsetid('', 20)], ir_version=10))",
    ):
        subprocess.run(
            [sys.executable, "-c", code], env=surroundings, cwd=ROOT, check=True, capture_output=True
        )
    left = {path.relative_to(tmp_path).parts for path in tmp_path.rglob("*")}
    assert not [parts for parts in left if parts[-1] == ".ses" or "Microsoft" in parts]
