import logging

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(module)s %(lineno)d %(message)s")
logging.getLogger("app").info("value %d", 3)
logging.debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("it failed")
