"""Servers on loopback, and limits under which a test need not wait."""

from __future__ import annotations

import pytest
from servers import bucket, s3_port, web

from geolocate.sources.limits import FetchLimits

__all__ = ["bucket", "s3_port", "web"]


@pytest.fixture
def hasty() -> FetchLimits:
    """Limits of a second where the defaults have a minute."""
    return FetchLimits(max_bytes=1_000_000, timeout_s=0.5, total_s=5.0, tries=3, wait_s=0.01)
