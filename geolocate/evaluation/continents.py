"""The continents of countries, as GeoNames has them (CC BY 4.0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolocate.places import PlaceIndex

#: Where no country is near: the open sea, and Antarctica.
NO_COUNTRY = "at sea, or of no country"

#: ISO 3166-1 alpha-2 codes (and XK) by continent; Turkey is in Asia, Russia and Cyprus in Europe.
CONTINENTS = {
    "Africa": (
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR "
        "MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW"
    ),
    "Antarctica": "AQ BV GS HM TF",
    "Asia": (
        "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO "
        "MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE"
    ),
    "Europe": (
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU "
        "LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK"
    ),
    "North America": (
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM "
        "PR SV SX TC TT US VC VG VI"
    ),
    "Oceania": "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
    "South America": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
}
_CONTINENT_OF = {code: name for name, codes in CONTINENTS.items() for code in codes.split()}


def continents_of(positions: NDArray[np.float64]) -> NDArray[np.str_]:
    """The continent of each position (N, 2) in degrees, by its country; NO_COUNTRY where there is none."""
    index = PlaceIndex.load()
    by_row = np.array([*(_CONTINENT_OF.get(code, NO_COUNTRY) for code in index.country_codes), NO_COUNTRY])
    found: NDArray[np.str_] = by_row[index.country_rows(positions[:, 0], positions[:, 1])]  # -1 is the last
    return found
