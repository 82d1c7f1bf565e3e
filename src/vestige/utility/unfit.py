"""What a task refuses."""

from vestige.errors import VestigeError


class Unfit(VestigeError):
    """The samples, or the models, are not what a task needs; another task may be for them."""
