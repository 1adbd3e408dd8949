def work():
    value = 3
    breakpoint()
    return value


work()
