name = input("name? ")
print()
print("hello", name)
print(int(input()) + int(input()))
