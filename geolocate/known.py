"""Everything that is known of one photo besides its pixels, brought to its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geolocate.album import NOTE_ALBUM, reach
from geolocate.album_evidence import placed
from geolocate.album_fixes import AlbumFixes
from geolocate.exif import ExifFacts
from geolocate.extra_points import Posterior
from geolocate.priors import Floats, Prior

#: Neighbours in time count where they have at least this share of the posterior: the place rests on them.
MAINLY = 0.5


@dataclass(frozen=True)
class Known:
    """The priors of a run.

    Attributes:
        priors: hard ones, which the gallery obeys already.
        album: the run's photos with positions in time; None without --album.
    """

    priors: Sequence[Prior] = ()
    album: AlbumFixes | None = None

    def applied(self, posterior: Posterior, facts: ExifFacts | None) -> tuple[Posterior, tuple[str, ...]]:
        """The posterior under all of it, and a note for each source that had a say.

        Args:
            posterior: by the model, over a gallery that obeys the hard priors, with extra points or without.
            facts: what the photo's EXIF says; its own position never counts.
        """
        notes = tuple(prior.note for prior in self.priors)
        if len(posterior.extra) and self.priors:
            logs = np.sum([prior.log_at(posterior.extra.coordinates) for prior in self.priors], axis=0)
            posterior = _reweighted(posterior, np.zeros(len(posterior.gallery)), logs)
        if self.album is None or facts is None or not posterior.is_finite():
            return posterior, notes
        clock = self.album.clock(facts)
        if clock is not None:
            posterior = _reweighted(
                posterior,
                clock.log_at(posterior.gallery.coordinates),
                clock.log_at(posterior.extra.coordinates),
            )
            notes += (clock.note,)
        informed, weight = placed(posterior, reach(*self.album.round(facts)), self.priors)
        if weight < MAINLY:  # a few certain places would still outdo many that share the rest
            return posterior, notes
        return informed, (*notes, NOTE_ALBUM)


def _reweighted(posterior: Posterior, gallery_logs: Floats, extra_logs: Floats) -> Posterior:
    """The posterior with a log prior over gallery (M,) and extra points (E,), unless that excludes all."""
    shares = posterior.shares * np.exp(gallery_logs)
    extra = posterior.extra.shares * np.exp(extra_logs)
    total = float(shares.sum()) + float(extra.sum())
    if not total > 0:
        return posterior
    return replace(posterior, shares=shares / total, extra=replace(posterior.extra, shares=extra / total))
