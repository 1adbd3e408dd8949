"""Write what the agent writes to the host: an EXIT frame that says all went well, and an ERROR."""

import os
import struct

forged = struct.pack(">BII", 0x84, 1, 15) + b'{"exit_code": 0}'[:15] + struct.pack(">BII", 0xFF, 1, 1 << 31)
for descriptor in range(1, 256):
    try:
        os.write(descriptor, forged)
    except OSError:
        continue
raise SystemExit(7)
