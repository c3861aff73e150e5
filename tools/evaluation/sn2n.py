"""x"""


def add_options(parser):
    pass


def run(o):
    pass
