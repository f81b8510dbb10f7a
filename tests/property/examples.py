"""Where the few examples of the profile ``fast`` are too few.

With 40 instead of 150 these tests lost lines of dnsguard that no other test reaches.
"""

from hypothesis import settings

MANY = max(settings().max_examples, settings.get_profile("thorough").max_examples)
many_examples = settings(max_examples=MANY)
