"""The posterior by country, from the places that the gallery's points are nearest to."""

from __future__ import annotations

import numpy as np

from geolocate.extra_points import Posterior
from geolocate.places import PlaceIndex
from geolocate.ranking import Ranked


def by_country(posterior: Posterior, top_k: int) -> Ranked:
    """The likeliest countries: of each its strongest point and the summed probability of all its points.

    The open sea, and land of no country, are one region together.

    Args:
        top_k: at most so many regions.
    """
    countries = posterior.gallery.countries  # (M,)
    shares = posterior.shares.astype(np.float64)
    if len(posterior.extra):
        beyond = PlaceIndex.load().country_rows(*posterior.extra.coordinates.T)
        countries, shares = np.append(countries, beyond), np.append(shares, posterior.extra.shares)
    mass = np.bincount(countries + 1, weights=shares)  # (C + 1,), first what is of no country
    by_share = np.argsort(-shares, kind="stable")
    found, first = np.unique(countries[by_share] + 1, return_index=True)
    ranked = np.lexsort((found, -mass[found]))[:top_k]
    return [(int(by_share[first[row]]), float(mass[found[row]])) for row in ranked]
