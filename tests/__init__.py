"""Tests, one file for each module; no camera, no screen, no GPU."""
