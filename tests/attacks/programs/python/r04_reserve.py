import mmap

from attempt import attempt, fact

NORESERVE = 0x4000


def reserve(size):
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)


held = [attempt("reserve 1 TiB", reserve, 1 << 40), attempt("reserve 64 TiB more", reserve, 64 << 40)]
attempt("touch some of it", held[0].write, bytes(1 << 20))
fact("of the host's memory", "1 MiB")
