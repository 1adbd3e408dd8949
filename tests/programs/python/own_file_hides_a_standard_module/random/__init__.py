VALUE = "my own random"
