"""Results read back: what predict wrote, as the predictions that it wrote them from.

    file -> rows of its format (rows_csv, rows_jsonl, rows_parquet) -> predictions -> Prediction

Rows hold less than predictions do: rounded numbers, places without their coordinates. What they hold comes
back whole: written again, the rows are the same, to the byte in CSV and JSON lines.
"""

from geolocate.results.reading import read_results, results_in

__all__ = ["read_results", "results_in"]
