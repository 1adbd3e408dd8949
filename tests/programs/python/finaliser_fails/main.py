class Bad:
    def __del__(self):
        raise RuntimeError("in __del__")

    def __repr__(self):
        return "<Bad>"


Bad()
left = Bad()
print("end")
