import os
import subprocess
import sys

print(subprocess.check_output(["echo", "hello"], text=True))
print(subprocess.run("exit 3", shell=True).returncode)
print(os.system("kill -9 $$"), os.WTERMSIG(os.system("kill -9 $$")))
print(subprocess.run([sys.executable, "-c", "1/0"], capture_output=True, text=True).stderr)
with os.popen("printf piped") as pipe:
    print(pipe.read())
sys.stdout.flush()
subprocess.run(["sh", "-c", "echo from the child; echo its stderr >&2"], check=True)
try:
    subprocess.run(["false"], check=True)
except subprocess.CalledProcessError as error:
    print(error)
subprocess.run(["no-such-command"])
