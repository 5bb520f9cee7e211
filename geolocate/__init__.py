"""geolocate tells where photos were taken, how sure it is, and why.

>>> from geolocate import Geolocator                                          # doctest: +SKIP
>>> for prediction in Geolocator.load("starter").locate(["photos/"], top_k=5):  # doctest: +SKIP
...     print(prediction.photo, prediction.candidates[0].position)
"""
