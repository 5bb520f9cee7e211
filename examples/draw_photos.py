"""Draws landscapes with a GPS position in their EXIF, so that the first command has something to run on.

    python examples/draw_photos.py photos

They are drawings: where geolocate places them says nothing. Their EXIF shows the columns exif_latitude,
exif_longitude and error_km at work. For guesses that mean something, use photos of your own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFilter
from PIL.TiffImagePlugin import IFDRational

WIDTH, HEIGHT = 960, 640

#: File name, latitude, longitude, colours of sky, far hills, near hills and ground.
SCENES = (
    ("alps.jpg", 46.5586, 7.8927, "#8fb9e8", "#9aa7b8", "#6d7f8f", "#4f6b3c"),
    ("atacama.jpg", -23.9045, -68.2001, "#6fa8dc", "#c08a62", "#a96f4a", "#d2a679"),
    ("faroe.jpg", 62.0107, -6.7741, "#b8c4cc", "#6f8a6a", "#55744f", "#3f5f3a"),
    ("namib.jpg", -24.7274, 15.3427, "#7db4e6", "#d98a4b", "#c8702f", "#e2a765"),
    ("new_zealand.jpg", -44.6717, 167.9256, "#a9c3d9", "#5d7a86", "#3f6155", "#355c4a"),
)


def ridge(rng: np.random.Generator, base: float, height: float) -> list[tuple[float, float]]:
    """A skyline: a sum of sines with random phases, as points from left to right."""
    x = np.linspace(0, WIDTH, 240)
    y = np.full_like(x, base)
    for octave in range(1, 7):
        y -= height / octave**1.3 * np.sin(x / WIDTH * np.pi * 2**octave * 0.8 + rng.uniform(0, 6.28))
    return [(0, HEIGHT), *zip(x.tolist(), y.tolist(), strict=True), (WIDTH, HEIGHT)]


def draw(seed: int, colours: tuple[str, str, str, str]) -> Image.Image:
    """One landscape, RGB, the same for the same seed."""
    rng = np.random.default_rng(seed)
    sky, far, near, ground = colours
    image = Image.new("RGB", (WIDTH, HEIGHT), sky)
    canvas = ImageDraw.Draw(image)
    for row in range(HEIGHT // 2):  # the sky pales towards the horizon
        share = row / (HEIGHT / 2) * 0.6
        tint = tuple(round(c + (255 - c) * share) for c in image.getpixel((0, HEIGHT - 1)))
        canvas.line([(0, row), (WIDTH, row)], fill=tint)
    for colour, base, height in ((far, 300, 90), (near, 380, 60), (ground, 480, 25)):
        canvas.polygon(ridge(rng, base, height), fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(1.2))
    grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def gps_exif(latitude: float, longitude: float) -> Image.Exif:
    """An EXIF block with a position in degrees, minutes and seconds."""

    def sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
        hundredths = round(abs(degrees) * 3600 * 10_000)
        whole, rest = divmod(hundredths, 3600 * 10_000)
        minutes, seconds = divmod(rest, 60 * 10_000)
        return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(seconds, 10_000)

    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "geolocate"
    exif[ExifTags.Base.Model] = "drawing"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N" if latitude >= 0 else "S"
    gps[ExifTags.GPS.GPSLatitude] = sexagesimal(latitude)
    gps[ExifTags.GPS.GPSLongitudeRef] = "E" if longitude >= 0 else "W"
    gps[ExifTags.GPS.GPSLongitude] = sexagesimal(longitude)
    return exif


def main() -> None:
    """Draws all scenes into the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/draw_photos.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, latitude, longitude, *colours) in enumerate(SCENES):
        sky, far, near, ground = colours
        image = draw(seed, (sky, far, near, ground))
        image.save(folder / name, quality=90, exif=gps_exif(latitude, longitude))
    print(f"{len(SCENES)} photos drawn in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
