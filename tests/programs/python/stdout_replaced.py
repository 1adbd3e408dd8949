import contextlib
import io
import sys

with contextlib.redirect_stdout(io.StringIO()) as text:
    print("caught")
print(repr(text.getvalue()))
sys.stdout.reconfigure(line_buffering=True, encoding="latin-1")
print("ü")
sys.stdout = None
print("nowhere")
sys.stderr.write("end\n")
