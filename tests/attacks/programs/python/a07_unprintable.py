import os

escapes = b"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\x1bP\x1b\\"
lines = b'\nINFO  lease granted to root\r\n{"level": "info"}\n<script>alert(1)</script>\n'
os.write(1, b"A7>" + escapes + lines + "\u202e\u2066\ufeff\u2028".encode() + b"\x00\xff\xfe\xed\xa0\x80" + b"<A7\n")
os.write(2, b"A7>" + escapes + lines)
os._exit(3)
