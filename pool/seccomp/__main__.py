"""Print the profile, or with the documentation's directory bring it up to date.

python -m pool.seccomp          the profile; `docker run` takes it with --security-opt no-new-privileges only
python -m pool.seccomp docs     write docs/seccomp.json and the table in docs/seccomp.md
"""

import sys
from pathlib import Path

from pool.seccomp.document import profile_text, write

match sys.argv[1:]:
    case []:
        sys.stdout.write(profile_text())
    case [directory]:
        write(Path(directory))
    case _:
        sys.exit(__doc__)
