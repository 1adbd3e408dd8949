print("fine")
print("broken \udc80")
