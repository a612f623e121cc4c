"""What all tests share: no deadline for hypothesis, since the machine may be busy, and the same examples every time."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
