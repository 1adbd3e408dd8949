import os

for name in sorted(os.environ):
    if name != "HOSTNAME":
        print(name, "=", os.environ[name])
os.environ["ADDED"] = "1"
os.system("echo added $ADDED greeting $GREETING; env | grep -c PETRI")
del os.environ["GREETING"]
os.system("echo greeting [$GREETING]")
