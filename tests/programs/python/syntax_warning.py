value = 1
if value is 1:
    print("one")
print("\d")
