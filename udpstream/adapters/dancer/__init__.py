"""Draws the dancer."""
