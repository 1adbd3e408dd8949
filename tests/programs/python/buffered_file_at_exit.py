import atexit

file = open("log.txt", "w")
file.write("written at exit")
print(repr(open("log.txt").read()))
atexit.register(lambda: (file.flush(), print(open("log.txt").read())))
