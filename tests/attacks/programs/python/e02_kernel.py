import struct

from attempt import attempt, in_a_child, syscall

HERE = -100 & (2**64 - 1)
word = bytes(256)
for name, arguments in {
    "bpf": (0, word, 72),
    "perf_event_open": (word, 0, -1 & (2**64 - 1), -1 & (2**64 - 1), 0),
    "userfaultfd": (1,),
    "io_uring_setup": (8, word),
    "keyctl": (0, 2**32 - 3, 1),
    "add_key": (b"user", b"x", b"y", 1, 2**32 - 5),
    "request_key": (b"user", b"x", 0, 0),
    "kexec_load": (0, 0, 0, 0),
    "kexec_file_load": (0, 0, 0, 0, 0),
    "init_module": (word, 256, b""),
    "finit_module": (0, b"", 0),
    "delete_module": (b"overlay", 0),
    "fanotify_init": (0, 0),
    "name_to_handle_at": (HERE, b"/", struct.pack("Ii128s", 128, 0, b""), word, 0),
    "open_by_handle_at": (HERE, struct.pack("Ii128s", 8, 1, b""), 0),
    "quotactl": (0x800007 << 8, 0, 0, 0),
    "swapon": (b"/tmp", 0),
    "reboot": (0xFEE1DEAD, 672274793, 0, 0),
    "acct": (b"/tmp/x",),
    "syslog": (3, word, 256),
    "personality": (0x0040000,),
    "sethostname": (b"x", 1),
    "setdomainname": (b"x", 1),
    "lookup_dcookie": (0, 0, 0),
    "move_pages": (1, 1, word, 0, word, 0),
    "memfd_secret": (0,),
}.items():
    attempt(name, in_a_child, syscall, name, *arguments)
attempt("modify_ldt", in_a_child, syscall, "modify_ldt", 0, word, 256)
attempt("iopl", in_a_child, syscall, "iopl", 3)
attempt("ioperm", in_a_child, syscall, "ioperm", 0x80, 1, 1)
