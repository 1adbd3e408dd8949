import package.deep

print("never")
