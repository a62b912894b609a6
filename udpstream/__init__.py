"""A camera link for the local network: frames over UDP, whole or counted."""

__version__ = "0.1.0"
