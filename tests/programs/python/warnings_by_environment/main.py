import warnings

warnings.warn("now fatal")
