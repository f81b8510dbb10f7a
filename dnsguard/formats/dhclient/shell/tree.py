"""The commands of a shell script as values: what stands within what (sh(1), "Shell grammar")."""

from dataclasses import dataclass, field

UNKNOWN = "\1"
"""Stands in a word for what can't be told."""


@dataclass(frozen=True, slots=True)
class Redirection:
    """Output to a file."""

    word: str
    line: int
    adds: bool
    """``>>``."""


@dataclass(slots=True)
class Simple:
    """A command with its words; a ``$(...)`` is a word of its own kind."""

    line: int
    words: list["str | Substitution"] = field(default_factory=list)
    document: str | None = None
    """The here-document."""
    is_indented: bool = False
    """``<<-``."""


@dataclass(slots=True)
class Substitution:
    """``PREFIX$(...)``: a word that a command says."""

    prefix: str
    body: "Body"


@dataclass(slots=True)
class If:
    """Conditions with what is done where they hold; None is ``else``."""

    branches: list[tuple["Body | None", "Body"]]


@dataclass(slots=True)
class Case:
    """A word and its patterns."""

    word: str
    branches: list[tuple[list[str], "Body"]]


@dataclass(slots=True)
class For:
    """A loop over words."""

    name: str
    words: list[str]
    body: "Body"


@dataclass(slots=True)
class While:
    """A loop of which nobody knows how often."""

    body: "Body"


@dataclass(slots=True)
class Group:
    """``{ ...; }``, or a subshell."""

    body: "Body"


@dataclass(slots=True)
class Function:
    """A definition."""

    name: str
    line: int
    body: "Body"


Command = Simple | If | Case | For | While | Group | Function


@dataclass(slots=True)
class Stage:
    """A command of a pipeline, and where its output goes."""

    command: Command
    redirections: list[Redirection] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """Commands with ``|`` between them."""

    stages: list[Stage]
    is_negated: bool = False
    operator: str = ""
    """``&&`` or ``||`` where the one before it has a say in whether it is run."""


Body = list[Pipeline]
