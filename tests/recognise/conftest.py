"""How the property tests run: a slow or busy machine is no fault of the code's."""

from hypothesis import HealthCheck, settings

settings.register_profile("recognise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("recognise")
