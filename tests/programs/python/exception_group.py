def fail(kind, text):
    try:
        raise kind(text)
    except Exception as error:
        error.add_note("a note")
        return error


raise ExceptionGroup("several", [fail(ValueError, "one"), ExceptionGroup("inner", [fail(TypeError, "two")])])
