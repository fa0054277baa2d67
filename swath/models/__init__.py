"""Models and how they are asked: families, encoding, the embedded base, the engine."""

import logging

# Where it is installed, peft imports it; on some processors it then asks for a package of Hub code.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
