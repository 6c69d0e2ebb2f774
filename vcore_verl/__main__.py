"""`python -m vcore_verl VERB ...`; see `cli`."""

import sys

from vcore_verl.cli import main

sys.exit(main())
