"""What a run, an experiment and a key may be called."""

from __future__ import annotations

import re

from gittrack.errors import InvalidName

ID_LENGTH = 32
MIN_PREFIX = 4

_RUN_ID = re.compile(r"[0-9a-f]{32}")
# git-check-ref-format(1): what no component of a ref may hold.
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Names of models and stages: what GTO allows too (its `constants.py`, version 1.10).
MODEL_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9_/-]*[a-zA-Z0-9])?"
_MODEL_NAME = re.compile(MODEL_NAME, re.ASCII)
_LONGEST_MODEL_NAME = 100

_ADJECTIVES = (
    "agile amber ample apt azure balmy bold brave breezy bright brisk calm candid clever cosmic cozy crisp daring "
    "deft dewy eager early earnest easy fair fancy fast fine fleet fond free fresh gentle giddy glad golden grand "
    "green happy hardy hazel honest humble ideal jolly keen kind lively lucid lucky lunar mellow merry mild misty "
    "modest neat nimble noble novel open patient plucky polar prime proud quick quiet ready rosy royal rustic "
    "sandy serene sharp silent silver simple sleek smart snowy solar solid spry steady stellar still sunny super "
    "sure swift tidy tranquil true vivid warm wild windy wise witty young zesty "
)
_NOUNS = (
    "acorn alder anchor ant aspen badger bay beacon bear beaver birch bison breeze brook canyon cedar cliff cloud "
    "comet coral cove crane creek cricket crow dawn deer delta dove dune eagle elk elm ember falcon fern finch "
    "fjord flint fox frog garden glade grove gull harbor hare hawk hazel hedge heron hill ibis iris island ivy "
    "jay juniper kelp kestrel kite koala lagoon lake lark leaf lemur lily linden lion lotus lynx maple marten "
    "meadow mesa mole moon moose moss newt oak oasis orca orchid osprey otter owl panda pebble pine plover pond "
    "poplar quail quartz rain raven reed reef ridge river robin salmon seal shore sparrow spruce star stone stork "
    "swan thicket tiger tulip valley violet walrus warbler wave willow wolf wren zebra "
)


def is_run_id(text: str) -> bool:
    return _RUN_ID.fullmatch(text) is not None


def is_model_name(text: str) -> bool:
    """Whether a model or a stage can be called that: the grammar, and git's rules for refs."""
    return (
        _MODEL_NAME.fullmatch(text) is not None
        and "//" not in text
        and "/-" not in text
        and len(text) <= _LONGEST_MODEL_NAME
    )


def name_from_id(run_id: str) -> str:
    """A name like `brave-otter-42` that everybody derives alike from a run id."""
    number = int(run_id[:16], 16)
    number, suffix = divmod(number, 100)
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    number, noun = divmod(number, len(nouns))
    return f"{adjectives[number % len(adjectives)]}-{nouns[noun]}-{suffix}"


def check_experiment(name: str) -> str:
    """An experiment's name becomes part of a ref, so git's rules for refs hold for it."""
    if not isinstance(name, str):
        raise InvalidName(f"an experiment's name must be text, not {type(name).__name__}")
    problem = _ref_problem(name)
    if problem is None and name.startswith("_"):
        problem = "names that begin with an underscore are reserved"
    if problem is not None:
        raise InvalidName(f"{name!r} cannot name an experiment: {problem}; use letters, digits, '-', '_', '.' and '/'")
    return name


def _ref_problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name.encode("utf-8", "surrogatepass")) > 200:
        return "it is longer than 200 bytes"
    found = _REF_FORBIDDEN.search(name)
    if found:
        return f"git forbids {found.group()!r} in a ref"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    for part in name.split("/"):
        if not part:
            return "it has an empty part between slashes"
        if part.startswith((".", "-")):
            return f"a part may not begin with {part[0]!r}"
        if part.endswith((".", ".lock")):
            return "a part may not end with '.' or '.lock'"
        if is_run_id(part):
            return "a part looks like a run id"
    return None


def check_run_name(name: str) -> str:
    """A run's name is for people: one line, not empty, and not something that means another run."""
    if not isinstance(name, str):
        raise InvalidName(f"a run's name must be text, not {type(name).__name__}")
    problem = None
    if not name.strip():
        problem = "it is empty"
    elif len(name) > 250:
        problem = "it is longer than 250 characters"
    elif _CONTROL.search(name) or not _is_unicode(name):
        problem = "it holds a control character or is not valid Unicode"
    elif name.startswith(("@", "-", "best:")):
        problem = "it would be read as something else on the command line"
    if problem is not None:
        raise InvalidName(f"{name!r} cannot name a run: {problem}")
    return name


def check_key(kind: str, key: str) -> str:
    """A key of a param, metric, run tag or artifact (`kind`): one line without back-ticks, at most 1,000 characters."""
    if type(key) is not str and not isinstance(key, str):
        raise InvalidName(f"a {kind}'s key must be text, not {type(key).__name__}: {key!r:.80}")
    problem = None
    if not key or key != key.strip():
        problem = "it is empty or begins or ends with white space"
    elif len(key) > 1000:
        problem = "it is longer than 1,000 characters"
    elif _CONTROL.search(key):
        problem = "it holds a control character"
    elif "`" in key:
        problem = "it holds a back-tick, which quotes keys in filters"
    elif not _is_unicode(key):
        problem = "it is not valid Unicode"
    if problem is not None:
        raise InvalidName(f"{key[:80]!r} cannot be a {kind}'s key: {problem}; rename it")
    return key


def one_line(text: str) -> str:
    """A text that may hold a file's name, as one line of Unicode: a line end becomes `\\n`, half a surrogate pair `\\udcff`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
