import other

print("main ends", __name__)
