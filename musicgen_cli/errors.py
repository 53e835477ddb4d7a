"""The one exception that the command line turns into a sentence instead of a traceback."""


class MusicgenError(Exception):
    """Something the user can put right; the message says what is wrong and the way out."""
