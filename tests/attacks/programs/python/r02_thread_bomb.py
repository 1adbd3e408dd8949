import ctypes
import errno

from attempt import fact, report

libc = ctypes.CDLL(None)
threads = 0
while not (error := libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)):
    threads += 1
report("start one more", errno.errorcode[error])
fact("threads", threads)
