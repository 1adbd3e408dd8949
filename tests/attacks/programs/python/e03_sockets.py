import ctypes
import mmap
import os

from attempt import attempt, in_a_child, syscall

NETLINK = 16
for name, family, kind, protocol in (
    ("ALG", 38, 5, 0),
    ("VSOCK", 40, 1, 0),
    ("packets", 17, 3, 0x0300),
    ("packets as datagrams", 17, 2, 0x0300),
    ("raw IP", 2, 3, 255),
    ("ping", 2, 2, 1),
    ("raw IPv6", 10, 3, 58),
    ("SCTP", 2, 1, 132),
    ("MPTCP", 2, 1, 262),
    ("UDP-Lite", 2, 2, 136),
    ("XDP", 44, 3, 0),
    ("CAN", 29, 3, 1),
    ("Bluetooth", 31, 3, 1),
    ("NFC", 39, 5, 0),
    ("X.25", 9, 5, 0),
    ("AX.25", 3, 5, 0),
    ("AppleTalk", 5, 2, 0),
    ("IPX", 4, 2, 0),
    ("DECnet", 12, 5, 0),
    ("RDS", 21, 5, 0),
    ("TIPC", 30, 5, 0),
    ("PPPoE", 24, 2, 0),
    ("PF_KEY", 15, 3, 2),
    ("KCM", 41, 5, 0),
    ("RxRPC", 33, 2, 2),
    ("SMC", 43, 1, 0),
    ("QIPCRTR", 42, 2, 0),
    ("netlink netfilter", NETLINK, 3, 12),
    ("netlink XFRM", NETLINK, 3, 6),
    ("netlink audit", NETLINK, 3, 9),
    ("netlink device events", NETLINK, 3, 15),
    ("netlink generic", NETLINK, 3, 16),
):
    attempt(name, syscall, "socket", family, kind, protocol)
attempt("a pair of packets", syscall, "socketpair", 17, 3, 0, bytes(8))


def int_0x80():
    """getpid as an i386 program calls it."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53 b814000000 cd80 5b c3"))  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


if os.uname().machine == "x86_64":
    attempt("past the filter as a 32-bit program", in_a_child, int_0x80)
