"""x"""


def scenario(frame):
    pass
