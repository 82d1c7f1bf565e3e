"""`python -m vestige`, and so `torchrun -m vestige`, is the command `vestige`."""

import sys

from vestige.cli import main

sys.exit(main())
