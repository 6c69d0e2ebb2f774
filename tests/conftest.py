"""Settings of all tests."""

from hypothesis import settings

# A property's first example pays for imports and a loaded machine stretches all of them: time says nothing here.
settings.register_profile("vcore_verl", deadline=None)
settings.load_profile("vcore_verl")
