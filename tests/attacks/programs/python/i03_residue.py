import os
import subprocess
from pathlib import Path

from attempt import report

CANARY = "canary-7f3a91"
for place in ("/workspace", "/tmp", "/dev/shm"):
    Path(f"{place}/{CANARY}").write_text(CANARY)
os.environ["CANARY"] = CANARY
subprocess.Popen(["sleep", "1000"], env={"CANARY": CANARY}, start_new_session=True)
report("leave a mark", "ok")
