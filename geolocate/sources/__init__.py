"""Photos that are no files of a folder: at URLs, in archives, and in lists.

A photo stays a `str`, its URL. :mod:`geolocate.sources.listing` says which photos an argument has,
:mod:`geolocate.sources.fetch` brings one to a private file for as long as it is decoded, and
:func:`geolocate.sources.urls.public_name` is how it is shown and written down.
"""
