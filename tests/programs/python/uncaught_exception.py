def outer(value):
    return inner(value) + 1


def inner(value):
    # a comment, so that the numbers have to be right

    return 10 / value


print("before")
outer(
    0,
)
print("never")
