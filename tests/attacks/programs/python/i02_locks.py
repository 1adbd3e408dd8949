# The attack is made from two sandboxes at once: see tests/attacks/table/information.py.
