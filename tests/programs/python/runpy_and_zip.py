import runpy
import subprocess
import sys
import zipfile

with zipfile.ZipFile("app.zip", "w") as archive:
    archive.writestr("__main__.py", "import inner; print('in the zip', inner.X, __name__)")
    archive.writestr("inner.py", "X = 1")
print(subprocess.run([sys.executable, "app.zip"], capture_output=True, text=True))
sys.path.insert(0, "app.zip")
import inner

print(inner.__file__)
print(runpy.run_path("app.zip")["__name__"])
