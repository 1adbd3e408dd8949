import os

print(sorted((number, os.readlink(f"/proc/self/fd/{number}")[:5]) for number in map(int, os.listdir("/proc/self/fd")) if os.path.islink(f"/proc/self/fd/{number}")))
print(os.open("/dev/null", os.O_RDONLY))
print([os.get_inheritable(number) for number in (0, 1, 2)])
print(os.umask(0o22))
