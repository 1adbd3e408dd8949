import subprocess
import sys

sys.exit(subprocess.run([sys.executable, "-c", "held = []\nwhile True: held.append(b'x' * (8 << 20))"]).returncode)
