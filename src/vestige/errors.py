"""The one exception a user is meant to see."""


class VestigeError(Exception):
    """Something about the user's input or machine; the message is one line: what, what was found, what to do.

    The command line prints the message and ends with exit code 2, without a traceback.
    """
