"""The reverse geocoding services that geopy knows: what they ask of their users, and how each is opened."""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
from dataclasses import dataclass
from typing import Any

from geolocate.errors import UsageError
from geolocate.places import ATTRIBUTION

_OSM = "Place names: © OpenStreetMap contributors, ODbL 1.0"


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """What a service asks of those who use it.

    Attributes:
        interval_s: at least so many seconds between two requests.
        attribution: the line that its terms want to see, or None where we know of none.
    """

    interval_s: float = 1.0
    attribution: str | None = None


#: By geopy's name of the service. Nominatim (https://operations.osmfoundation.org/policies/nominatim/): one
#: request a second, own User-Agent, results cached. Others take the same pace, or a slower one that they ask.
POLICIES = {
    "nominatim": ServicePolicy(1.0, _OSM),
    "photon": ServicePolicy(1.0, f"{_OSM} (Photon by komoot)"),
    "opencage": ServicePolicy(1.0, f"{_OSM} (OpenCage)"),
    "openmapquest": ServicePolicy(1.0, _OSM),
    "pickpoint": ServicePolicy(1.0, _OSM),
    "geocodeearth": ServicePolicy(1.0, f"{_OSM}, and others (Geocode Earth)"),
    "geonames": ServicePolicy(3.6, ATTRIBUTION),  # 1,000 an hour for a free account
    "banfrance": ServicePolicy(1.0, "Place names: Base Adresse Nationale, Licence Ouverte 2.0"),
}

#: Parameters of geopy's classes that hold the key, by falling preference.
_KEY_PARAMETERS = ("api_key", "apikey", "subscription_key", "username")
#: Often run on a server of one's own, without keys.
_KEY_OPTIONAL = frozenset({"pelias"})


def default_user_agent() -> str:
    """How the program names itself to services."""
    return f"geolocate/{importlib.metadata.version('geolocate')}"


def open_service(service: str, key: str | None, domain: str | None, user_agent: str) -> Any:
    """The geopy geocoder of a service, with bounded HTTP.

    Args:
        service: geopy's name of it, lower case.
        key: its API key, or its user name where it goes by that.
        domain: a server of one's own, as `host[:port]`, `http://host[:port]` or with a path.

    Raises:
        UsageError: no such service; it cannot reverse; it needs a key or a domain, or cannot take one.
    """
    from geopy.exc import ConfigurationError
    from geopy.geocoders import SERVICE_TO_GEOCODER

    from geolocate.geocode_http import BoundedAdapter

    can_reverse = {name for name, kind in SERVICE_TO_GEOCODER.items() if hasattr(kind, "reverse")}
    if service not in SERVICE_TO_GEOCODER:
        near = difflib.get_close_matches(service, ["offline", "none", *sorted(can_reverse)], n=1)
        hint = (
            f"did you mean '{near[0]}'?"
            if near
            else f"known: offline, none, {', '.join(sorted(can_reverse))}"
        )
        raise UsageError(f"--geocoder: no service '{service}'; {hint}")
    if service not in can_reverse:
        raise UsageError(f"--geocoder: {service} finds positions of names, but not names of positions")
    kind = SERVICE_TO_GEOCODER[service]
    parameters = inspect.signature(kind).parameters
    options: dict[str, Any] = {
        "adapter_factory": BoundedAdapter,
        "user_agent": user_agent,
    }
    # ArcGIS and IGN France take a user name only together with a password: they are used without an account.
    key_parameters = () if "password" in parameters else _KEY_PARAMETERS
    key_parameter = next((name for name in key_parameters if name in parameters), None)
    if key is not None and key_parameter is None:
        raise UsageError(f"--geocoder-key: {service} takes no key")
    if key_parameter is not None and key is None and service not in _KEY_OPTIONAL:
        what = "user name" if key_parameter == "username" else "key"
        raise UsageError(f"--geocoder {service} needs a {what}: --geocoder-key {what.split()[-1].upper()}")
    if key_parameter is not None and key is not None:
        options[key_parameter] = key
    if domain is not None:
        if "domain" not in parameters:
            raise UsageError(f"--geocoder-domain: {service} has one server only")
        scheme, separator, host = domain.rpartition("://")
        options["domain"] = host
        if separator:
            options["scheme"] = scheme
    elif "domain" in parameters and parameters["domain"].default is inspect.Parameter.empty:
        raise UsageError(f"--geocoder {service} needs a server: --geocoder-domain HOST")
    try:
        return kind(**options)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise UsageError(f"--geocoder {service} cannot be used: {error}") from error
