import os

print("before", flush=True)
os.environ["GIVEN"] = "on"
os.execvp("sh", ["sh", "-c", "echo given $GIVEN; exit 9"])
