"""``python3 -m dnsguard`` is ``dnsguard``."""

import sys

from dnsguard.cli import main

sys.exit(main())
