"""Neighbours in time against what the model sees.

The album (:func:`geolocate.album.reach`) is a prior beside that of the gallery: pi = (1 - trust) * gallery +
trust * album. By Bayes' rule each part counts by how likely the model holds it, so where a photo contradicts
its neighbours, as with a clock that is an hour off, the answer falls back to the model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.priors import Prior
from geolocate.ranking import MERGE_RADIUS_KM
from geolocate.sphere import great_circle_km, unit_vectors

#: What the model says of a position is averaged over the gallery points in a circle of at least this radius.
EVIDENCE_KM = 50.0
#: A Gaussian wider than one place, with so many gallery points in one spread, is a prior over those points.
ENOUGH_POINTS = 5


def placed(posterior: Posterior, album: ExtraPoints, priors: Sequence[Prior] = ()) -> tuple[Posterior, float]:
    """The posterior of a photo under the album's prior too, and the share of it that rests on the album.

    Args:
        posterior: under the gallery's own prior.
        album: a mixture whose shares sum to the trust in it, below 1.
        priors: hard ones of the run, which hold for the album's positions too.
    """
    if not len(album):
        return posterior, 0.0
    model = 1.0 - float(album.shares.sum())
    trusted = album.shares.copy()
    for prior in priors:
        trusted *= np.exp(prior.log_at(album.coordinates))
    gallery, extra = posterior.gallery, posterior.extra
    others = unit_vectors(*extra.coordinates.T) if len(extra) else np.empty((0, 3))
    base = gallery.weights / gallery.weights.sum(dtype=np.float64)  # (M,)
    # Likelihood times prior: of the gallery's points, of those that were there, of the album's.
    of_gallery, of_extra = posterior.shares * model, extra.shares * model
    of_album = np.zeros(len(album))
    for row, centre in enumerate(unit_vectors(*album.coordinates.T)):
        spread = float(album.spreads_km[row])
        distances = great_circle_km(gallery.vectors, centre)  # (M,)
        away = great_circle_km(others, centre)
        if spread > MERGE_RADIUS_KM and np.count_nonzero(distances <= spread) >= ENOUGH_POINTS:
            kernel = np.exp(-0.5 * (distances / spread) ** 2)
            per_base = trusted[row] / float(base @ kernel)
            of_gallery = of_gallery + per_base * kernel * posterior.shares
            of_extra = of_extra + per_base * np.exp(-0.5 * (away / spread) ** 2) * extra.shares
        else:  # finer than the gallery, or where it has no points
            radius = max(EVIDENCE_KM, spread, float(distances.min()) + 1e-6)
            seen = float(posterior.shares[distances <= radius].sum()) + float(
                extra.shares[away <= radius].sum()
            )
            of_album[row] = trusted[row] * seen / float(base[distances <= radius].sum())
    total = float(of_gallery.sum()) + float(of_extra.sum()) + float(of_album.sum())
    if not np.isfinite(total) or total <= 0.0:  # the model gave no number
        return posterior, 0.0
    points = replace(extra, shares=of_extra / total).with_points(replace(album, shares=of_album / total))
    return replace(posterior, shares=of_gallery / total, extra=points), 1.0 - model / total
