"""The one exception that a user of the command line is meant to see."""


class UserError(Exception):
    """A mistake of the user: its message is one line that says what was expected, what came and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
