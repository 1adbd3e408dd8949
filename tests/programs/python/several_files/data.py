VALUES = [1, 2, 3]
if __name__ == "__main__":
    print("not when imported")
