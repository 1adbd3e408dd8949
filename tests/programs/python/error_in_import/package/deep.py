def compute():
    return undefined_name


VALUE = compute()
