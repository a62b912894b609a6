"""What all tests share: the same examples on every run, and none that fails for its time."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "udpstream",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("udpstream")
