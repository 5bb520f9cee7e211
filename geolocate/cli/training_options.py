"""The options of `geolocate train`; the defaults of the recipe and of the sizes are GeoCLIP's."""

from __future__ import annotations

from pathlib import Path

import click

from geolocate.cli.options import together
from geolocate.cli.parameters import FilePath, FiniteRange

#: What is learned from.
data_options = together(
    click.option(
        "--images",
        type=FilePath(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder that the table's names start from.  [default: the table's own]",
    ),
    click.option(
        "--output",
        type=FilePath(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of the training.  [default: training/DATE-TIME; with --resume the newest]",
    ),
    click.option("--resume", is_flag=True, help="Go on with the training in --output, bit for bit."),
    click.option(
        "--backbone",
        metavar="NAME|FILE.onnx",
        help="Frozen image encoder: open_clip's name of a model, or an ONNX file whose preprocessing is in "
        "FILE.json.  [default: ViT-L-14-quickgelu]",
    ),
    click.option(
        "--backbone-weights",
        type=FilePath(exists=True, path_type=Path),
        metavar="DIR|FILE",
        help="Weights of an open_clip model that are on this machine.  [default: fetched]",
    ),
    click.option(
        "--views",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        metavar="N",
        help="Views of each photo whose features are computed: the photo, and augmented ones.",
    ),
    click.option(
        "--cache",
        type=FilePath(file_okay=False, path_type=Path),
        default=Path("training/features"),
        show_default=True,
        metavar="DIR",
        help="Folder where features are kept.",
    ),
    click.option(
        "--held-out",
        type=FiniteRange(0, 1, max_open=True),
        default=0.1,
        show_default=True,
        metavar="SHARE",
        help="Share of the photos that are held out, whole places at a time; 0 measures nothing.",
    ),
    click.option(
        "--apart",
        type=FiniteRange(0.1, 10_000),
        default=25.0,
        show_default=True,
        metavar="KM",
        help="Distance between held-out photos and all others.",
    ),
    click.option(
        "--gallery",
        type=FilePath(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE.csv",
        help="CSV with the columns LAT and LON: where held-out photos can be placed, and where the queue "
        "starts.  [default: the starter's gallery]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cuda", "cpu"]),
        default="auto",
        show_default=True,
        help="auto takes CUDA where torch has it.",
    ),
)

#: The concept module and its grounding.
module_options = together(
    click.option(
        "--concepts",
        default="geographic",
        show_default=True,
        metavar="geographic|general|FILE.json|none",
        help="Concepts of the alignment module; none trains without it.",
    ),
    click.option(
        "--space",
        type=click.Choice(["feature", "concept", "both"]),
        default="both",
        show_default=True,
        help="Where photos are contrasted with locations.",
    ),
    click.option(
        "--divergence",
        type=click.Choice(["cs", "mean", "none"]),
        default="cs",
        show_default=True,
        help="Between the concept scores of photos and of their locations: Cauchy-Schwarz, or the squared "
        "difference of means.",
    ),
    click.option(
        "--divergence-weight",
        type=FiniteRange(0),
        default=1.0,
        show_default=True,
        metavar="WEIGHT",
        help="Of the divergence in the loss.",
    ),
    click.option(
        "--grounding",
        type=FiniteRange(0),
        default=1.0,
        show_default=True,
        metavar="WEIGHT",
        help="Weight of the loss that ties location scores to the known geography of concepts; 0 is the "
        "paper's recipe, in which nothing ties a concept to its name.",
    ),
)

#: How it is learned; the defaults are GeoCLIP's.
recipe_options = together(
    click.option(
        "--epochs", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="At most."
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(2),
        default=512,
        show_default=True,
        metavar="N",
        help="Photos of a step.",
    ),
    click.option(
        "--optimiser",
        type=click.Choice(["adam", "adamw", "sgd"]),
        default="adam",
        show_default=True,
        help="GeoCLIP's is Adam.",
    ),
    click.option(
        "--learning-rate",
        type=FiniteRange(0, min_open=True),
        default=3e-5,
        show_default=True,
        metavar="RATE",
        help="Of the first epoch; for fewer than a few hundred thousand photos: 1e-3.",
    ),
    click.option(
        "--weight-decay",
        type=FiniteRange(0),
        default=1e-6,
        show_default=True,
        metavar="RATE",
        help="Of all weights.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(["step", "cosine", "constant"]),
        default="step",
        show_default=True,
        help="Of the learning rate: times --decay each epoch, or to zero, or as it is.",
    ),
    click.option(
        "--decay",
        type=FiniteRange(0, 1, min_open=True),
        default=0.87,
        show_default=True,
        metavar="FACTOR",
        help="Factor between two epochs of the step schedule.",
    ),
    click.option(
        "--noise",
        type=FiniteRange(0),
        default=150.0,
        show_default=True,
        metavar="METRES",
        help="GPS noise of the photos: standard deviation to the north and to the east.",
    ),
    click.option(
        "--queue",
        type=click.IntRange(0),
        default=4096,
        show_default=True,
        metavar="N",
        help="Earlier coordinates that are negatives too, for few photos their own among them; 0 is off.",
    ),
    click.option(
        "--queue-noise",
        type=FiniteRange(0),
        default=1000.0,
        show_default=True,
        metavar="METRES",
        help="GPS noise of the queue.",
    ),
    click.option(
        "--negatives-beyond",
        type=FiniteRange(0),
        default=0.0,
        show_default=True,
        metavar="KM",
        help="Nearer locations are no negatives of a photo; for fewer than a few hundred thousand photos: "
        "300, as the starter, or else neighbours and a photo's own place in the queue are some.",
    ),
    click.option(
        "--freeze",
        type=click.Choice(["image", "location", "logit_scale", "concepts"]),
        multiple=True,
        help="A part that is not trained. May be repeated.",
    ),
    click.option(
        "--data-share",
        type=FiniteRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        metavar="SHARE",
        help="Share of the training photos that are used.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1),
        metavar="N",
        help="Epochs without a better held-out value after which training ends.  [default: never]",
    ),
    click.option(
        "--stop-metric",
        type=click.Choice(["median_km", "loss"]),
        default="median_km",
        show_default=True,
        help="The held-out value that chooses the best epoch.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Of all that is drawn.",
    ),
)

#: Sizes of what is trained; the defaults are GeoCLIP's.
size_options = together(
    click.option(
        "--embedding-dim",
        type=click.IntRange(1, 4096),
        default=512,
        show_default=True,
        metavar="N",
        help="Width of the space that photos and locations share.",
    ),
    click.option(
        "--sigma",
        type=FiniteRange(0, min_open=True),
        multiple=True,
        default=(1.0, 16.0, 256.0),
        show_default=True,
        metavar="SCALE",
        help="Scale of the location encoder's random frequencies. May be repeated.",
    ),
    click.option(
        "--frequencies",
        type=click.IntRange(1, 4096),
        default=256,
        show_default=True,
        metavar="N",
        help="Frequencies of each scale.",
    ),
    click.option(
        "--hidden",
        type=click.IntRange(1, 16_384),
        default=1024,
        show_default=True,
        metavar="N",
        help="Hidden width of each scale.",
    ),
    click.option(
        "--projection",
        type=click.Choice(["equal_earth", "degrees"]),
        default="equal_earth",
        show_default=True,
        help="What the location encoder sees; a model of plain degrees cannot be exported.",
    ),
)
