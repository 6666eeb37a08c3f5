"""Reading the settings from every place where they may be said.

The command line is strongest (its options never come here), then `GITTRACK_*` variables, then
`git config gittrack.*` (personal), then `.gittrack/config.yaml` on the branch (the team's), then
the defaults. A setting comes from one place: lists and mappings of several places are not mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from gittrack.errors import SettingsError
from gittrack.settings.schema import SCHEMA, takes_several
from gittrack.settings.values import (
    ArtifactSettings,
    EnvironmentSettings,
    GuardSettings,
    MetricSettings,
    ParamSettings,
    RegistrySettings,
    ReportSettings,
    RunSettings,
    Settings,
)
from gittrack.settings.words import nearest, said_twice

if TYPE_CHECKING:
    import yaml

    from gittrack.git.repository import Repository

SETTINGS_FILE = ".gittrack/config.yaml"

# Not settings: variables by which our processes speak with each other, or a person with one.
PROTOCOL_VARIABLES = (
    "GITTRACK_DEBUG",
    "GITTRACK_LIVE",
    "GITTRACK_MODEL",
    "GITTRACK_MODEL_REPOSITORY",
    "GITTRACK_MODEL_RUN",
    "GITTRACK_MODEL_STAGE",
    "GITTRACK_MODEL_VERSION",
    "GITTRACK_OPENS",
    "GITTRACK_PUSH",
    "GITTRACK_RUN",
    "GITTRACK_SEED",
    "GITTRACK_WORKTREES",
    "GITTRACK_WRITER",
)
# Nothing for a team to share: the name of this clone's ledger.
_OWN_GIT_KEYS = ("gittrack.writer",)

_LARGEST_FILE = 1 << 20
_DEEPEST = 50
_BY_KEY = {setting.key: setting for setting in SCHEMA}
_SECTIONS = frozenset(key.partition(".")[0] for key in _BY_KEY if "." in key)

Said = Iterable[tuple[str, Any, str]]  # key, value as it was said, place


def load_settings(repo: Repository, environ: Mapping[str, str]) -> Settings:
    """The settings that hold in a repository; one SettingsError names every mistake in them."""
    mistakes: list[str] = []
    weakest_first = (
        _from_file(repo, mistakes),
        _from_git(repo, mistakes),
        _from_variables(environ, mistakes),
    )
    return _parsed((one for source in weakest_first for one in source), mistakes)


def settings_of(data: bytes) -> Settings:
    """What one settings file says, and nobody's own settings; raises SettingsError."""
    mistakes: list[str] = []
    return _parsed(_from_bytes(data, mistakes), mistakes)


def _parsed(said: Said, mistakes: list[str]) -> Settings:
    found: dict[str, tuple[Any, str]] = {}
    for key, value, place in said:
        try:
            found[key] = (_BY_KEY[key].parse(value), place)
        except ValueError as error:
            mistakes.append(f"{place}: {key} {error}")
    if len(mistakes) == 1:
        raise SettingsError(mistakes[0])
    if mistakes:
        raise SettingsError("\n  ".join([f"the settings hold {len(mistakes)} mistakes:", *mistakes]))
    return _settings(found)


def _settings(found: Mapping[str, tuple[Any, str]]) -> Settings:
    values = {
        key: found[key][0] if key in found else setting.parse(setting.default) for key, setting in _BY_KEY.items()
    }

    def section(name: str) -> dict[str, Any]:
        return {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}

    return Settings(
        experiment=values["experiment"],
        run=RunSettings(**section("run")),
        params=ParamSettings(**section("params")),
        metrics=MetricSettings(**section("metrics")),
        environment=EnvironmentSettings(**section("environment")),
        artifacts=ArtifactSettings(**section("artifacts")),
        registry=RegistrySettings(**section("registry")),
        report=ReportSettings(**section("report")),
        guards=GuardSettings(**section("guards")),
        origins={key: place for key, (_, place) in found.items()},
    )


# --- variables and git's configuration


def _from_variables(environ: Mapping[str, str], mistakes: list[str]) -> Said:
    by_variable = {setting.variable: setting.key for setting in SCHEMA}
    for name in sorted(name for name in environ if name.startswith("GITTRACK_")):
        if name in PROTOCOL_VARIABLES or not environ[name]:
            continue
        if name in by_variable:
            yield by_variable[name], environ[name], name
        else:
            mistakes.append(f"{name}: there is no such variable{nearest(name, by_variable)}")


def _from_git(repo: Repository, mistakes: list[str]) -> Said:
    by_git_key = {setting.git_key: setting for setting in SCHEMA}
    for key, values in repo.config.items():
        if key.startswith("gittrack.") and key not in _OWN_GIT_KEYS:
            place = f"git config {key}"
            setting = by_git_key.get(key)
            if setting is None:
                mistakes.append(f"{place}: there is no such setting{nearest(key, by_git_key)}")
            else:
                several = takes_several(setting) and len(values) > 1
                yield setting.key, list(values) if several else values[-1], place


# --- the file


def _from_file(repo: Repository, mistakes: list[str]) -> Said:
    try:
        data = _file_bytes(repo)
    except OSError as error:
        mistakes.append(f"{SETTINGS_FILE}: it cannot be read ({error.strerror})")
        return
    yield from _from_bytes(data, mistakes)


def _from_bytes(data: bytes, mistakes: list[str]) -> Said:
    if len(data) > _LARGEST_FILE:
        mistakes.append(f"{SETTINGS_FILE}: it is larger than 1 MB, which no settings file is")
    elif data:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            mistakes.append(f"{SETTINGS_FILE}:{line}: it is not UTF-8 text")
        else:
            yield from _from_yaml(text, mistakes)


def _file_bytes(repo: Repository) -> bytes:
    if repo.root is not None:
        try:
            return (repo.root / SETTINGS_FILE).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return b""
    for _, kind, data in repo.read_objects([f"HEAD:{SETTINGS_FILE}"]):
        return data if kind == "blob" else b""
    return b""


def _from_yaml(text: str, mistakes: list[str]) -> Said:
    # As `init` writes it: all comments. The reader of YAML costs a command 10 ms, to find nothing.
    if all(not line or (line.startswith("#") and line.isprintable()) for line in text.split("\n")):
        return
    import yaml

    loader: Any = None
    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Composing is a recursion in C, which too deep a nesting would crash; events are flat.
        depth = 0
        for event in yaml.parse(text, Loader=load):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                mistakes.append(f"{SETTINGS_FILE}: it is nested too deeply for settings")
                return
        loader = load(text)
        top = loader.get_single_node()
        if top is not None and not _is_null(top):
            yield from _from_mapping(loader, top, "", mistakes, {})
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        mistakes.append(f"{SETTINGS_FILE}{line}: it is not valid YAML: {problem}")
    finally:
        if loader is not None:
            loader.dispose()


def _from_mapping(loader: Any, node: yaml.Node, prefix: str, mistakes: list[str], lines: dict[str, int]) -> Said:
    import yaml

    place = f"{SETTINGS_FILE}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        what = prefix.rstrip(".") or "it"
        mistakes.append(f"{place}: {what} must hold settings, each as 'name: value'")
        return
    loader.flatten_mapping(node)
    for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        line = key_node.start_mark.line + 1
        place = f"{SETTINGS_FILE}:{line}"
        key = prefix + (key_node.value if isinstance(key_node, yaml.ScalarNode) else "?")
        if key in lines:
            mistakes.append(f"{place}: {key} is set again, after line {lines[key]}")
            continue
        lines[key] = line
        if key in _BY_KEY:
            again = next(said_twice(value_node), None)
            if again is not None:
                name, at, first = again
                mistakes.append(f"{SETTINGS_FILE}:{at}: {key} says {name!r} again, after line {first}")
            elif not _is_null(value_node):
                yield key, loader.construct_object(value_node, deep=True), place
        elif not prefix and key in _SECTIONS:
            if not _is_null(value_node):
                yield from _from_mapping(loader, value_node, f"{key}.", mistakes, lines)
        else:
            mistakes.append(f"{place}: there is no setting {key!r}{nearest(key, _BY_KEY)}")


def _is_null(node: yaml.Node) -> bool:
    """A key without a value says nothing, as when all that stood below it became comments."""
    return bool(node.tag == "tag:yaml.org,2002:null")
