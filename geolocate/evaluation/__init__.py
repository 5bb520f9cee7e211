"""How good predictions are, and whether what they say of themselves holds.

distances     between many pairs of positions        metrics         accuracy, GeoScore, bootstrap
columns       which columns of a CSV are which       baselines       constant guess, random gallery point
number_table  numbers out of large CSV files         calibration     coverage of radii, temperature
scored_table  predictions of an earlier run          photo_names     of two tables, joined
measuring     one pass of the model                  literature      published tables of the same benchmarks
continents    of countries                           leaks           test photos that stand in the gallery
report        all of it as one value                 concept_scores  by how well photos were placed
known_photos  encoded, with their true positions     calibrated_bundle  a copy with another temperature
rendering     text, Markdown, JSON                   pictures        PNG
"""
