"""Telling secrets from the rest, and hiding them. Pure.

Two things give a secret away: its *value* (an access token with a known prefix, a private key, a
URL with a password in it), and the *name* beside it (`password=...`, `--api-key ...`). Names that
merely contain the letters of a secret word are common in machine learning (`tokenizer`,
`pad_token`, `max_tokens`, `sort_key`), and a mask over those would spoil the record: beside them a
value must look generated before it is hidden.

Every repeat in a pattern is bounded or possessive, so that the work is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from fnmatch import fnmatchcase
from itertools import pairwise

MASK = "***"

# --- values that are secrets whatever their name

_TOKENS = (
    ("an AWS access key", r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    ("a GitHub token", r"gh[opsur]_[A-Za-z0-9]{20,255}+"),
    ("a GitHub token", r"github_pat_\w{20,255}+"),
    ("a GitLab token", r"gl(?:pat|ptt|dt|rt|ft|soat|cbt|agent)-[\w-]{20,255}+"),
    ("a Hugging Face token", r"(?:hf|api_org)_[A-Za-z0-9]{30,255}+"),
    ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}+"),
    ("a Google API key", r"AIza[\w-]{35}(?![\w-])"),
    ("a Google token", r"ya29\.[\w-]{20,2048}+"),
    ("a payment key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}+"),
    ("an npm token", r"npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"pypi-AgE[\w-]{50,512}+"),
    ("a JSON web token", r"eyJ[\w-]{8,8192}+\.eyJ[\w-]{8,8192}+\.[\w-]{8,8192}+"),
)
_TOKEN = re.compile(r"(?<![\w-])(?:" + "|".join(f"({pattern})" for _, pattern in _TOKENS) + ")", re.ASCII)

# `sk-` begins ordinary names too (sk-learn-baseline-2): the rest must look generated.
_SK_KEY = re.compile(r"(?<![\w-])sk-[\w-]{16,512}+", re.ASCII)

_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----")

# What stands between `://` and the last `@` before a slash.
_USERINFO = re.compile(r"://([^\s/?#\"'<>`]{1,512})@")

_HEADER = re.compile(
    r"(?i)(authorization\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?(?:basic|bearer|token)\s{1,3})"
    r"[\w.~+/=-]{4,4096}+"
)
_SIGNED_URL = re.compile(
    r"(?i)([?&](?:sig|signature|x-(?:amz|goog)-(?:signature|credential|security-token)|access_token"
    r"|api_?key|token|key)=)([\w.~%+/=-]{8,4096}+)"
)


def mask_text(text: str) -> str:
    """Text with everything in it hidden that looks like a secret."""
    if "PRIVATE KEY" in text:
        text = _mask_private_keys(text)
    text = _TOKEN.sub(MASK, text)
    if "sk-" in text:
        text = _SK_KEY.sub(lambda found: MASK if _is_generated(found[0]) else found[0], text)
    if "://" in text:
        text = _USERINFO.sub(_mask_userinfo, text)
        text = _SIGNED_URL.sub(rf"\1{MASK}", text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    return _ASSIGNMENT.sub(_mask_assignment, text)


def strip_userinfo(url: str) -> str:
    """A URL without user and password.

    In ssh URLs and in `user@host:path` the user stays: it is part of the address.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    userinfo, at_sign, host = rest[:end].rpartition("@")
    if at_sign and "ssh" in scheme.lower():
        host = f"{userinfo.partition(':')[0]}@{host}"
    return f"{scheme}://{host}{rest[end:]}"


def _mask_private_keys(text: str) -> str:
    parts: list[str] = []
    at = 0
    while (begin := _PEM_BEGIN.search(text, at)) is not None:
        parts += [text[at : begin.start()], MASK]
        end = _PEM_END.search(text, begin.end())
        at = len(text) if end is None else end.end()  # a key cut short is still a key
    parts.append(text[at:])
    return "".join(parts)


def _mask_userinfo(found: re.Match[str]) -> str:
    scheme = found.string[max(0, found.start() - 16) : found.start()].lower()
    if ":" not in found[1] and scheme.endswith(("ssh", "sftp")):
        return found[0]
    return f"://{MASK}@"


# --- names


class _Says(IntEnum):
    """What a name says of the value beside it."""

    NOTHING = 0
    HARMLESS = 1  # `pad_token`, `sort_key`: only a value that looks generated is hidden
    PERHAPS = 2  # `some_key`: the same, unless a pattern of the user's names it
    SECRET = 3


# `API_KEY`, `apiKey`, `api-key` and `db.apikey2` are all read as words.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_GLUED = re.compile(r"password|passwd|passphrase|apikey|secretkey|accesskey|accountkey|authtoken")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SECRET_WORDS = _set("password passwords passwd passphrase secret secrets credential credentials token")
_KEY_OWNERS = _set("access account api auth encryption license master private secret signing ssh storage")
_TOKEN_OWNERS = _set(
    "access api auth azure bearer bot deploy github gitlab hf hub id job npm oauth personal pypi "
    "refresh registry sas security session slack user vault wandb"
)
_HARMLESS_OWNERS = _set(
    "additional batch begin bos cache cls column config data decoder dict end eod eos feature "
    "field first foreign group image img index input join label last lookup map mask max metric "
    "min monitor n new next num of order output pad partition per prefix prev primary prng public "
    "query random rng row sep sort special start state stop suffix target text total trigger "
    "unique unk unknown use vision with"
)
# What follows `key` or `token` in names of sizes, kinds and choices.
_HARMLESS_FOLLOWERS = _set(
    "by class count dim dims drop embedding embeddings ids idx index len length level limit "
    "metric name names padding per pooling size type types"
)
_SWITCHES = _set("ask disable no prompt without")  # --no-password takes no value
_INNOCENT_WORD = re.compile(
    r"(?:de|un)?tokeni[sz]\w*|keyboards?|keywords?|keypoints?|keyframes?|keynotes?|monkey\w*"
    r"|turkey|donkeys?|whiskey|hockey|jockey|hotkeys?"
)


def mask_value(name: str, value: str, patterns: Iterable[str]) -> str:
    """The value of a variable, param or option as it may be recorded.

    `patterns` are globs over names, in any case. They add to what is known here anyway; a value
    whose name says that it is a secret is hidden whole, of others only the parts that look so.
    """
    if value and _hides(_says(name, patterns), name, value):
        return MASK
    return mask_text(value)


def mask_argv(argv: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """A command line with its secrets hidden: `--password=x`, `--api-key x`, `KEY=x`, URLs, ..."""
    patterns = tuple(patterns)
    masked: list[str] = []
    option: str | None = None  # the option whose value the next argument may be
    for argument in argv:
        name, equals, value = argument.partition("=")
        if option is not None and not argument.startswith("--"):
            masked.append(mask_value(option, argument, patterns))
            option = None
        elif equals and _is_name(name):
            masked.append(f"{name}={mask_value(name, value, patterns)}")
            option = None
        else:
            masked.append(mask_text(argument))
            # A dash and one letter (-p) says too little: it may be a port or a path as well.
            option = argument if argument[:1] == "-" and argument[2:] and _is_name(name) else None
    return masked


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[-+~\w./:@]{1,200}", text) is not None


def _says(name: str, patterns: Iterable[str] = ()) -> _Says:
    words = [word.lower() for word in _WORD.findall(name)]
    guilty = [word for word in words if not _INNOCENT_WORD.fullmatch(word)]
    known = _known(guilty)
    if known in (_Says.NOTHING, _Says.PERHAPS) and _is_named(name, words, guilty, patterns):
        return _Says.SECRET
    return known


def _known(words: Sequence[str]) -> _Says:
    if not words:
        return _Says.NOTHING
    followers = {after for word, after in pairwise(words) if word in ("key", "keys", "token", "tokens")}
    if words[0] in _SWITCHES or followers & _HARMLESS_FOLLOWERS:
        return _Says.HARMLESS
    if words[-1] == "id" and len(words) > 1:  # AWS_ACCESS_KEY_ID
        words = words[:-1]
    last, owner = words[-1], words[-2] if len(words) > 1 else ""
    if last in ("key", "keys"):
        if owner in _KEY_OWNERS:
            return _Says.SECRET
        return _Says.HARMLESS if not owner or owner in _HARMLESS_OWNERS else _Says.PERHAPS
    if last in ("token", "tokens"):
        if owner in _HARMLESS_OWNERS or (not owner and last == "tokens"):
            return _Says.HARMLESS
        return _Says.SECRET if not owner or owner in _TOKEN_OWNERS else _Says.PERHAPS
    if last == "pwd":  # the working directory, unless it is somebody's
        return _Says.SECRET if owner and owner != "old" else _Says.HARMLESS
    if last in ("auth", "pat"):
        return _Says.PERHAPS
    return _Says.SECRET if last in _SECRET_WORDS or _GLUED.search(last) else _Says.NOTHING


def _is_named(name: str, words: Sequence[str], guilty: Sequence[str], patterns: Iterable[str]) -> bool:
    """Whether a pattern means this name; `*TOKEN*` does not mean TOKENIZERS_PARALLELISM."""
    whole = _folded(name.lstrip("-+~"))
    rest = whole if len(guilty) == len(words) else "_".join(guilty)
    for pattern in patterns:
        folded = _folded(pattern)
        if fnmatchcase(rest if "*" in folded or "?" in folded else whole, folded):
            return True
    return False


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


# --- values beside a name

_CONSTANT = re.compile(r"(?i)(?:true|false|yes|no|on|off|none|null|nil|undefined|auto|default|~|\*+|x{3,}|\.{3,})\Z")
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,4})?\Z")
_KEY_LETTERS = re.compile(r"[\w.~+/=:-]+", re.ASCII)
_RUN = re.compile(r"[A-Za-z0-9]+")
_MAY_BE_NUMBER = re.compile(r"(?i)pass|pwd|secret|credential")


def _hides(says: _Says, name: str, value: str) -> bool:
    if says is _Says.NOTHING or _CONSTANT.match(value):
        return False
    # Numbers are counts and sizes, except beside a word for a password.
    if _NUMBER.match(value) and not _MAY_BE_NUMBER.search(name):
        return False
    return says is _Says.SECRET or _is_generated(value)


def _is_generated(value: str) -> bool:
    """Letters and digits in one long run: so are keys, not names, versions and paths."""
    if not 16 <= len(value) <= 8192 or value[0] in "/.~" or not _KEY_LETTERS.fullmatch(value):
        return False
    longest = max(_RUN.findall(value), key=len, default="")
    return len(longest) >= 16 and any(map(str.isdigit, longest)) and any(map(str.isalpha, longest))


# --- assignments in running text

_ASSIGNMENT = re.compile(
    r"(?i)(passwords?|passwd|passphrase|pwd|secrets?|credentials?|key(?:[_-]?id)?|tokens?|apikey)"
    r"(\\?[\"']?\s{0,3}(?:=>|[:=])\s{0,3})"
    r"(\\?\"[^\"\\\n]{1,4096}+|\\?'[^'\\\n]{1,4096}+|[^\s\"',;&|<>)}\]\\]{1,4096}+)"
)
_NAME_BEFORE = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z")
# Where a secret comes from, or a type: not the secret itself.
_REFERENCE = re.compile(r"[$<{%\[]|(?:os|self|args|config|cfg|settings)\.|[\w.]{1,80}[(\[]")
_TYPE = re.compile(r"(?:str|bytes|int|float|bool|Any|object|string|list|dict|Optional|Union)\b")


def _mask_assignment(found: re.Match[str]) -> str:
    raw = found[3]
    value = raw.lstrip("\\\"'")
    quote = raw[: len(raw) - len(value)]
    if not value or value.startswith(MASK) or value[0] in "$<{%":
        return found[0]
    if not quote and (_REFERENCE.match(value) or _TYPE.match(value)):
        return found[0]
    name = _whole_name(found)
    says = _says(name)
    if says is _Says.SECRET and name.lower() in ("token", "tokens", "secret", "secrets"):
        says = _Says.PERHAPS  # "the secret: ..." is a sentence
    if says is _Says.PERHAPS and name.isupper() and "_" in name:
        says = _Says.SECRET  # SOME_KEY=... is a variable
    if says is _Says.HARMLESS:
        return found[0]  # logs are full of `cache_key: <a hash>`
    return f"{found[1]}{found[2]}{quote}{MASK}" if _hides(says, name, value) else found[0]


def _whole_name(found: re.Match[str]) -> str:
    before = _NAME_BEFORE.search(found.string, max(0, found.start() - 64), found.start())
    return (before[0] if before else "") + found[1]


# --- files

_SECRET_FILES = {
    ".env": "is named like a file of secrets",
    ".envrc": "is named like a file of secrets",
    "secrets.toml": "is named like a file of secrets",
    "secrets.yaml": "is named like a file of secrets",
    "secrets.yml": "is named like a file of secrets",
    "secrets.json": "is named like a file of secrets",
    ".netrc": "is a file of passwords",
    "_netrc": "is a file of passwords",
    ".pgpass": "is a file of passwords",
    ".htpasswd": "is a file of passwords",
    ".git-credentials": "is a file of passwords",
    ".dockercfg": "is a file of passwords",
    "credentials": "is named like a file of credentials",
    "credentials.json": "is named like a file of credentials",
    "application_default_credentials.json": "is named like a file of credentials",
    "client_secret*.json": "is named like a file of credentials",
    "kaggle.json": "is named like a file of credentials",
    "id_rsa": "is named like a private key",
    "id_dsa": "is named like a private key",
    "id_ecdsa": "is named like a private key",
    "id_ed25519": "is named like a private key",
    "*.ppk": "is named like a private key",
    "*.p12": "is a store of keys",
    "*.pfx": "is a store of keys",
    "*.jks": "is a store of keys",
    "*.keystore": "is a store of keys",
    "*.kdbx": "is a store of passwords",
}
_ENV_TEMPLATES = (".example", ".sample", ".template", ".tmpl", ".dist", ".default", ".defaults")
_PLACEHOLDERS = _set("pass password passwd pwd pw secret token changeme")


def find_secret(path_name: str, data: bytes) -> str | None:
    """Why a file looks as if it held a secret, as the end of a sentence; None when it does not."""
    if not data.strip():
        return None
    text = data.decode("latin-1")
    if b"PRIVATE KEY" in data and _PEM_BEGIN.search(text):
        return "contains a private key"
    reason = _telling_name(path_name)
    if reason is not None or b"\0" in data[:8000]:  # in binary data a token would be chance
        return reason
    token = _TOKEN.search(text)
    if token is not None:
        return f"contains what looks like {_TOKENS[(token.lastindex or 1) - 1][0]}"
    if any(_is_generated(key[0]) for key in _SK_KEY.finditer(text)):
        return "contains what looks like an API key"
    if any(_is_password(one[1]) for one in _USERINFO.finditer(text)):
        return "contains a URL with a password in it"
    for one in _ASSIGNMENT.finditer(text):
        if _is_generated(one[3].lstrip("\\\"'")) and _mask_assignment(one) != one[0]:
            return f"contains a value for '{_whole_name(one)}'"
    return None


def _telling_name(path_name: str) -> str | None:
    name = path_name.replace("\\", "/").rpartition("/")[2].lower()
    if name.startswith(".env.") and not name.endswith(_ENV_TEMPLATES):
        return _SECRET_FILES[".env"]
    return next((why for glob, why in _SECRET_FILES.items() if fnmatchcase(name, glob)), None)


def _is_password(userinfo: str) -> bool:
    user, _, password = userinfo.partition(":")
    placeholder = password.lower() in _PLACEHOLDERS or password.lower() == user.lower()
    return bool(password) and not placeholder and not _REFERENCE.match(password)
