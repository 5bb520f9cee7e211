"""How good predictions are, and whether what they say of themselves holds.

distances     between many pairs of positions        metrics         accuracy, GeoScore, bootstrap
columns       which columns of a CSV are which       baselines       constant guess, random gallery point
number_table  numbers out of large CSV files         calibration     coverage of radii, temperature
scored_table  predictions of an earlier run          literature      published tables of the same benchmarks
measuring     one pass of the model                  leaks           test photos that stand in the gallery
continents    of countries                           concept_scores  by how well photos were placed
report        all of it as one value                 rendering       text, Markdown, JSON;  pictures: PNG
"""
