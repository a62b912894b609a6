"""Measurements of a link and of a machine: engines of ``udpstream bench`` and ``doctor``."""
