import plugins.one

print(plugins.one.NAME, list(plugins.__path__), plugins.__file__)
