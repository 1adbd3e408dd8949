raise SystemExit({"reason": [1, 2]})
