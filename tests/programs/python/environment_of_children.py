import subprocess
import sys

code = "import os, sys; print(sorted(n for n in os.environ if n != 'HOSTNAME')); print(sys.path[1:]); print(sorted(sys.modules))"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
