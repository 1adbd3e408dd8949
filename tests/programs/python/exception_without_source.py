exec(compile("def f():\n    raise RuntimeError('from nowhere')\n", "<generated>", "exec"))
f()
