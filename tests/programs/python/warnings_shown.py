import warnings

warnings.warn("look out", stacklevel=1)
warnings.warn("old", DeprecationWarning, stacklevel=1)
for _ in range(3):
    warnings.warn("once only", UserWarning, stacklevel=1)
warnings.simplefilter("error")
warnings.warn("now an error")
