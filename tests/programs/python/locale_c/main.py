import locale
import sys

print(sys.stdout.encoding, sys.getfilesystemencoding(), locale.getpreferredencoding(False), locale.setlocale(locale.LC_ALL))
print("ascii only")
