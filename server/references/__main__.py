"""`python -m server.references docs` writes the generated pages into `docs/`."""

import sys
from pathlib import Path

from server.references import write

if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
