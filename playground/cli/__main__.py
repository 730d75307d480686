"""``python -m playground.cli``, the command without its installation."""

import sys

from playground.cli.command import main

sys.exit(main())
