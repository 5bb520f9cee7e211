"""Photos become upright sRGB squares; what is wrong with a file is one short row error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile import exif_blocks, pictures
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from geolocate.errors import (
    ExtraMissing,
    PhotoDamaged,
    PhotoError,
    PhotoExtraMissing,
    PhotoFormatRefused,
    PhotoNotFound,
    PhotoNotReadable,
    PhotoTooLarge,
)
from geolocate.photos import DEFAULT_MAX_PIXELS, DecodedPhoto, decode, decode_photo
from geolocate.photos.resize import to_square

PHOTOS = Path(__file__).parents[2] / "shared" / "photos" / "exif"


def real(name: str) -> Path:
    path = PHOTOS / name
    if not path.is_file():
        pytest.skip(f"{path} is missing: real photos are not part of the repository")
    return path


@pytest.fixture
def decoded(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Decodes bytes as a file called photo.jpg, whatever they are."""

    def run(data: bytes, size: int = 64, **options: object) -> DecodedPhoto:
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        return decode_photo(path, size=size, **options)  # type: ignore[arg-type]

    return run


def clip_preprocess(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """CLIP's rule as torchvision does it: resize the shorter side, then cut out the centre."""
    width, height = image.size
    shorter = min(width, height)
    image = image.resize((size * width // shorter, size * height // shorter), Image.Resampling.BICUBIC)
    left, top = round((image.width - size) / 2.0), round((image.height - size) / 2.0)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("shape", [(320, 240), (241, 377), (640, 100), (50, 50), (65, 64)])
def test_the_square_is_the_one_that_clip_cuts_out(shape: tuple[int, int]) -> None:
    image = Image.fromarray(pictures.scene(*shape))
    pixels = to_square(image, 64)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert difference(pixels, clip_preprocess(image, 64)) < 0.02


@pytest.mark.parametrize("number", range(1, 9))
def test_a_real_photo_in_each_orientation_gives_the_upright_picture(number: int) -> None:
    upright = decode_photo(real("landscape_1.jpg"), size=224).pixels
    rotated = real(f"landscape_{number}.jpg")
    assert difference(decode_photo(rotated, size=224).pixels, upright) <= 4


def test_without_orientation_the_same_check_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    upright = decode_photo(real("landscape_1.jpg"), size=224).pixels
    monkeypatch.setattr(decode, "orientation", lambda block: 1)
    for number in range(2, 9):
        assert difference(decode_photo(real(f"landscape_{number}.jpg"), size=224).pixels, upright) > 4


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("value", [*range(9), 99])
def test_orientation_gives_the_same_pixels_as_the_upright_copy(decoded, file_format: str, value: int) -> None:  # type: ignore[no-untyped-def]
    transpositions = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    image = Image.fromarray(
        pictures.scene(161, 120)
    )  # 161: an odd margin, so that the crop must know the sides
    stored = image.transpose(transpositions[value]) if value in transpositions else image
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"lossless": True} if file_format == "WEBP" else {}
    expected = decoded(pictures.encoded(image, file_format, quality=95, **options)).pixels
    got = decoded(pictures.encoded(stored, file_format, quality=95, exif=exif, **options)).pixels
    assert difference(got, expected) < (3 if file_format in ("JPEG", "AVIF") else 0.6)


def test_a_broken_exif_block_leaves_the_picture_alone(decoded) -> None:  # type: ignore[no-untyped-def]
    for block in (
        exif_blocks.cyclic(),
        exif_blocks.huge_counts(),
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0",
    ):
        photo = decoded(pictures.photo("JPEG", exif=block))
        assert difference(photo.pixels, to_square(Image.fromarray(pictures.scene()), 64)) < 4


def test_heic_is_turned_upright_once() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the heic extra is not installed")
    photo = decode_photo(real("IMG_5195.HEIC"), size=224)
    upright = pillow_heif.open_heif(real("IMG_5195.HEIC")).to_pillow()
    assert (photo.width, photo.height) == upright.size
    flat = Image.frombytes("RGB", upright.size, upright.tobytes())  # without the profile
    assert difference(photo.pixels, clip_preprocess(flat, 224)) < 12
    assert difference(photo.pixels[::-1], clip_preprocess(flat, 224)) > 24


def test_heic_without_its_extra_names_the_extra(decoded, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoExtraMissing, match=r"geolocate\[heic\]") as caught:
        decoded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    assert isinstance(caught.value, ExtraMissing)
    assert isinstance(caught.value, PhotoError)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO"])
def test_the_content_decides_the_decoder_not_the_name(decoded, file_format: str) -> None:  # type: ignore[no-untyped-def]
    photo = decoded(pictures.photo(file_format))
    assert (photo.width, photo.height) == (320, 240)
    assert difference(photo.pixels, to_square(Image.fromarray(pictures.scene()), 64)) < 6


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_exif_block_is_handed_over(decoded, file_format: str) -> None:  # type: ignore[no-untyped-def]
    from geolocate.exif import read_exif
    from geolocate.records import Position

    block = exif_blocks.position_block(exif_blocks.degrees(10, 30, 0), exif_blocks.degrees(20, 0, 0), b"S")
    exif: object = block
    if file_format == "TIFF":
        exif = Image.Exif()
        exif.load(block)  # type: ignore[attr-defined]
    photo = decoded(pictures.photo(file_format, exif=exif))
    assert read_exif(photo.exif).position == Position(-10.5, 20.0)


def test_a_png_with_exif_as_text_gives_it_too(decoded) -> None:  # type: ignore[no-untyped-def]
    from geolocate.exif import read_exif
    from geolocate.records import Position

    block = exif_blocks.position_block(exif_blocks.degrees(1, 0, 0), exif_blocks.degrees(2, 0, 0))
    text = f"Raw profile type exif\0\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    png = pictures.photo("PNG")
    assert read_exif(
        decoded(png[:33] + pictures.png_chunk(b"tEXt", text) + png[33:]).exif
    ).position == Position(1, 2)


def test_reduced_scale_agrees_with_the_full_decode(decoded) -> None:  # type: ignore[no-untyped-def]
    data = pictures.photo("JPEG", 1600, 1200, quality=92)
    assert difference(decoded(data).pixels, decoded(data, exact=True).pixels) < 1.5
    assert decoded(data).width == 1600


def test_a_profile_is_converted_to_srgb_and_a_corrupt_one_ignored(decoded) -> None:  # type: ignore[no-untyped-def]
    plain = pictures.photo("PNG")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bytes_of_profile = bytearray(srgb)
    for bad in (b"not a profile", srgb[:200], bytes(bytes_of_profile[:128]) + b"\xff" * 400):
        assert np.array_equal(decoded(pictures.photo("PNG", icc_profile=bad)).pixels, decoded(plain).pixels)
    assert np.array_equal(decoded(pictures.photo("PNG", icc_profile=srgb)).pixels, decoded(plain).pixels)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_photo_is_damaged(decoded, file_format: str) -> None:  # type: ignore[no-untyped-def]
    data = pictures.photo(file_format)
    for share in (0.05, 0.5, 0.9):
        with pytest.raises(PhotoDamaged) as caught:
            decoded(data[: int(share * len(data))])
        assert "photo.jpg" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_allow_truncated_takes_what_there_is_for_that_photo_alone(decoded, file_format: str) -> None:  # type: ignore[no-untyped-def]
    whole = pictures.photo(file_format)
    half = whole[: int(0.6 * len(whole))]
    pixels = decoded(half, allow_truncated=True).pixels
    assert difference(pixels[:24], decoded(whole).pixels[:24]) < 1
    assert difference(pixels[-8:], decoded(whole).pixels[-8:]) > 20
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with pytest.raises(PhotoDamaged):
        decoded(half)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"holiday photo\n", b"%PDF-1.7\n" + bytes(99), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0",
        b"8BPS" + bytes(99), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM, the firm", bytes(4096),
        b"\0\0\0\x18ftypqt  " + bytes(99), b"P6 1 1 255 abc", b"\0\0\0\x18ftypisom\0\0\0\0mp41" + bytes(99),
    ],
    ids=["empty", "text", "pdf", "eps", "psd", "svg", "BM", "zeros", "mov", "ppm", "mp4"],
)  # fmt: skip
def test_what_is_no_photo_is_refused_by_its_content(
    decoded, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(PhotoFormatRefused):
        decoded(data)


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xd8\xff",
        pictures.PNG_SIGNATURE,
        b"GIF89a",
        b"II*\0",
        b"RIFF\0\0\0\0WEBP",
        b"\0\0\0\x18ftypavif",
    ],
)
def test_a_header_alone_is_damaged(decoded, header: bytes) -> None:  # type: ignore[no-untyped-def]
    for tail in (b"", bytes(300), b"\xff" * 300):
        with pytest.raises(PhotoDamaged):
            decoded(header + tail)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50_000), (50_000, 1), (3, 20_000)])
def test_extreme_shapes_work(decoded, shape: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    image = Image.new("RGB", shape, (200, 100, 50))
    assert np.array_equal(
        np.unique(decoded(pictures.encoded(image, "PNG")).pixels.reshape(-1, 3), axis=0), [[200, 100, 50]]
    )


def test_the_pixel_limit_is_exact(decoded) -> None:  # type: ignore[no-untyped-def]
    data = pictures.photo("JPEG", 320, 240)
    assert decoded(data, max_pixels=76_800).width == 320
    with pytest.raises(PhotoTooLarge, match="320 x 240 pixels are more than the limit of 76,799"):
        decoded(data, max_pixels=76_799)


def test_pillows_own_guard_stays_for_the_application_that_imports_us(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.photo("PNG", 60, 40))
    script = (
        "import sys\nfrom PIL import Image\nbefore = Image.MAX_IMAGE_PIXELS\n"
        "from geolocate.photos import decode_photo\ndecode_photo(sys.argv[1], size=8)\n"
        "sys.exit(before is None or before != Image.MAX_IMAGE_PIXELS)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "a.png"], check=True, timeout=60)


def test_an_application_that_trusts_photos_less_is_heard(decoded, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PhotoTooLarge, match=r"more pixels than the limit of 2,000"):
        decoded(pictures.photo("PNG", 60, 40))
    assert decoded(pictures.photo("PNG", 50, 40)).width == 50
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "TIFF"])
def test_a_pixel_limit_above_the_default_lifts_pillows(  # type: ignore[no-untyped-def]
    decoded, monkeypatch, picture_format: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = pictures.photo(picture_format, 60, 40)
    assert decoded(data, max_pixels=DEFAULT_MAX_PIXELS + 2).width == 60
    assert Image.MAX_IMAGE_PIXELS == DEFAULT_MAX_PIXELS // 2 + 1
    assert decoded(data).width == 60


def peak_memory_growth_mib(path: Path) -> float:
    """How far decoding the file raises the peak memory of a fresh process."""
    script = (
        "import resource, sys\n"
        "from geolocate.errors import PhotoError\n"
        "from geolocate.photos import decode_photo\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode_photo(sys.argv[1], size=224)\n"
        "except PhotoError as error:\n    print(type(error).__name__, file=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True, timeout=60
    )
    return int(run.stdout) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in KiB is Linux's")
@pytest.mark.parametrize("builder", [pictures.png_bomb, pictures.png_text_bomb])
def test_a_bomb_is_refused_with_flat_memory(decoded, tmp_path: Path, builder) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "bomb.png"
    path.write_bytes(builder())
    started = time.perf_counter()
    with pytest.raises(PhotoError):
        decode_photo(path, size=224)
    assert time.perf_counter() - started < 1
    assert peak_memory_growth_mib(path) < 100


@pytest.mark.parametrize("builder", [pictures.gif_frames, pictures.webp_frames, pictures.tiff_frames])
def test_of_ten_thousand_frames_the_first_is_decoded_at_once(decoded, builder) -> None:  # type: ignore[no-untyped-def]
    data = builder(10_000)
    started = time.perf_counter()
    pixels = decoded(data).pixels
    assert time.perf_counter() - started < 0.5
    assert difference(pixels, np.full_like(pixels, (255, 0, 0))) <= 1


@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in KiB is Linux's")
@pytest.mark.parametrize("box", [b"iloc", b"iinf", b"ipco", b"ispe"])
def test_a_crafted_heic_costs_neither_time_nor_memory(tmp_path: Path, box: bytes) -> None:
    pytest.importorskip("pillow_heif", reason="the heic extra is not installed")
    data = bytearray(real("IMG_5195.HEIC").read_bytes())
    at = data.index(box)
    data[at + 8 : at + 64] = b"\xff" * 56
    path = tmp_path / "crafted.heic"
    path.write_bytes(data)
    started = time.perf_counter()
    with pytest.raises(PhotoError):
        decode_photo(path, size=224)
    assert time.perf_counter() - started < 1
    assert peak_memory_growth_mib(path) < 300


def test_missing_files_and_folders_are_row_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path / "none" / "a.jpg", "nul\0.jpg", "\ud800.jpg"):
        with pytest.raises(PhotoNotFound):
            decode_photo(path, size=8)
    with pytest.raises(PhotoNotReadable, match="a folder"):
        decode_photo(tmp_path, size=8)
    with pytest.raises(PhotoError):
        decode_photo(tmp_path / ("x" * 5_000), size=8)


def test_an_unreadable_file_says_why_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(pictures.photo())

    def refuse(name: object, flags: int) -> int:  # the tests may run as root, whom nothing stops
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PhotoNotReadable, match=r"^cannot be opened: Permission denied$"):
        decode_photo(path, size=8)


def test_a_file_that_is_larger_than_any_photo_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "disk.img.webp"
    path.touch()
    try:
        os.truncate(path, 3 * 2**30)
    except OSError:
        pytest.skip("the file system has no sparse files")
    with pytest.raises(PhotoTooLarge, match="larger than 2 GiB"):
        decode_photo(path, size=8)


def test_warnings_of_decoders_do_not_leak_and_the_filters_are_left_as_they_were(decoded) -> None:  # type: ignore[no-untyped-def]
    palette = Image.fromarray(pictures.scene()).quantize(8)
    noisy = [
        pictures.encoded(palette, "PNG", transparency=b"\0\x80\xff"),
        pictures.photo("JPEG", exif=exif_blocks.huge_counts()),
        pictures.photo("TIFF")[:-3] + b"\xff\xff\xff",
    ]
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def decode_all() -> None:
        try:
            for data in noisy * 5:
                with Image.open(io.BytesIO(data)):
                    pass
                decoded(data)
        except PhotoDamaged:
            pass
        except BaseException as error:
            failures.append(error)

    decode_all()
    assert failures == []
    assert list(warnings.filters) == before


def test_threads_decode_side_by_side_and_get_what_one_gets(tmp_path: Path) -> None:
    paths = []
    for number, file_format in enumerate(["JPEG", "PNG", "WEBP", "GIF"] * 3):
        paths.append(tmp_path / f"{number}.jpg")
        data = pictures.encoded(Image.fromarray(pictures.scene(seed=number)), file_format)
        paths[-1].write_bytes(data if number % 4 else data[: len(data) * 2 // 3])

    def outcome(path: Path, truncated: bool) -> bytes:
        try:
            return decode_photo(path, size=32, allow_truncated=truncated).pixels.tobytes()
        except PhotoError as error:
            return repr(error).encode()

    expected = {(path, truncated): outcome(path, truncated) for path in paths for truncated in (False, True)}
    got: dict[tuple[Path, bool], bytes] = {}
    before = list(warnings.filters)

    def work(truncated: bool) -> None:
        for path in paths * 2:
            got[path, truncated] = outcome(path, truncated)

    threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected
    assert list(warnings.filters) == before
