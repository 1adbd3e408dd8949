print("my own re is imported")
