"""What every AWS target may say: where it is, and with which profile it is reached."""

from collections.abc import Hashable

from poolwright.actuation.target import Target, Text

CREDENTIALS = (
    "botocore's own chain: environment, shared files (`profile` chooses), web identity, the role of"
    " the container or instance"
)


class AwsTarget(Target):
    """Keys never stand in a rule file: a profile is only the name of some."""

    region: Text | None = None
    """Without it that of the environment or of the profile."""
    profile: Text | None = None
    """Of the shared config and credentials files; it may assume a role of another account."""

    def place(self) -> Hashable:
        """Where the target is, for `identity`. Which region is the default is not known here."""
        return self.profile, self.region
