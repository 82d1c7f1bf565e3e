"""What a file of tensors must not be able to do."""


class Bomb:
    """Pickled, it ends the program of whoever unpickles it: nothing that is told of as a file that cannot be read."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code in a checkpoint was run')",))
