from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.capture.secrets import (
    MASK,
    find_secret,
    mask_argv,
    mask_text,
    mask_value,
    strip_userinfo,
)

PATTERNS = ("*KEY*", "*TOKEN*")

# Put together here so that no scanner takes this file for a leak.
LETTERS = "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zC0fG5hJ7kL9n"
TOKENS = [
    "AKIA" + "ABCDEFGH12345678",
    "ASIA" + "ABCDEFGH12345678",
    "ghp_" + LETTERS[:36],
    "gho_" + LETTERS[:36],
    "ghs_" + LETTERS[:36],
    "github_pat_" + LETTERS[:22] + "_" + LETTERS,
    "glpat-" + LETTERS[:20],
    "hf_" + LETTERS[:34],
    "sk-" + LETTERS,
    "sk-proj-" + LETTERS + "-" + LETTERS,
    "sk-ant-api03-" + LETTERS + "_" + LETTERS,
    "xoxb-" + "123456789012-123456789012-" + LETTERS[:24],
    "xoxp-" + "123456789012-" + LETTERS[:24],
    "AIza" + LETTERS[:35],
    "sk_live_" + LETTERS[:24],
    "npm_" + LETTERS[:36],
    "eyJ" + LETTERS + ".eyJ" + LETTERS + "." + LETTERS,
]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"


class TestMaskText:
    @pytest.mark.parametrize("token", TOKENS)
    @pytest.mark.parametrize("frame", ["{}", "using {} now", "a='{}'", "({})", "x={},y=1"])
    def test_known_tokens(self, token: str, frame: str) -> None:
        assert mask_text(frame.format(token)) == frame.format(MASK)

    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("password=hunter2", "password=***"),
            ("password: hunter2", "password: ***"),
            ('"password": "hunter2", "user": "bob"', '"password": "***", "user": "bob"'),
            ('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"***\\"}'),
            ("db.password = 'with spaces in it'", "db.password = '***'"),
            ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
            ("password=12345678", "password=***"),
            ("WANDB_API_KEY=" + "ab12" * 10, "WANDB_API_KEY=***"),
            ("api_key: abcdef", "api_key: ***"),
            ("apiKey=abcdef", "apiKey=***"),
            ("AccountName=me;AccountKey=" + LETTERS + "==;", "AccountName=me;AccountKey=***;"),
            ("aws_secret_access_key = " + LETTERS, "aws_secret_access_key = ***"),
            ("client_secret=abc", "client_secret=***"),
            ("HF_TOKEN=abc", "HF_TOKEN=***"),
            ("SOME_TOKEN=abc", "SOME_TOKEN=***"),
            ("token=" + LETTERS, "token=***"),
            ("Authorization: Bearer abcd1234", "Authorization: Bearer ***"),
            ("'authorization': 'Basic dXNlcjpwYXNz'", "'authorization': 'Basic ***'"),
            ("https://bob:pw@example.org/x", "https://***@example.org/x"),
            ("https://bob:p@w@example.org/x", "https://***@example.org/x"),
            ("https://onlytoken@example.org", "https://***@example.org"),
            ("postgres://bob:pw@db/x?y=1", "postgres://***@db/x?y=1"),
            (
                "https://x.example.org/b?sv=1&sig=abcdefgh%3D",
                "https://x.example.org/b?sv=1&sig=***",
            ),
            (f"before\n{PEM}\nafter", "before\n***\nafter"),
            ("cut " + PEM[:50], "cut ***"),
        ],
    )
    def test_secrets_beside_their_names(self, text: str, masked: str) -> None:
        assert mask_text(text) == masked

    @pytest.mark.parametrize(
        "text",
        [
            "use_cls_token: true",
            "use_cls_token=True",
            "tokenizer: bert-base-uncased",
            "tokenizer=AutoTokenizer.from_pretrained('x')",
            "max_tokens=512",
            "max_new_tokens: 512",
            "tokens: 1024, seconds: 3.2",
            "pad_token='[PAD]'",
            "eos_token: </s>",
            "the next token: the",
            "the secret: be brave",
            "key=value",
            "sort_key=created_at",
            "key: val/loss",
            "cache_key: " + "0a1b" * 10,
            "monkey=banana1234567890abcdef",
            "keyboard: qwerty",
            "passed=3 failed=0",
            "compass: north",
            "bypass=yes",
            "password=",
            "password: str",
            "password=None",
            "password=os.environ['PASSWORD']",
            "password = getpass.getpass()",
            "api_key=$API_KEY",
            "api_key: ${API_KEY}",
            "api_key=<your key>",
            "secret: {{ vault.secret }}",
            "commit 0123456789abcdef0123456789abcdef01234567",
            "id 123e4567-e89b-12d3-a456-426614174000",
            "sk-learn-random-forest-baseline-2",
            "sk-learn-gradient-boosting-2026-01-02",
            "mask-rcnn task-specific risk-adjusted-performance-of-everything",
            "ssh://git@example.org/x.git",
            "git@example.org:team/x.git",
            "http://localhost:8080/@x",
            "see https://example.org/a?b=c@d",
            "ghp_short",
            "hf_hub_download(repo_id)",
            "shape=(3, 4) lr=0.1 seed=42",
            "PWD=/home/bob",
        ],
    )
    def test_what_only_looks_alike_stays(self, text: str) -> None:
        assert mask_text(text) == text

    def test_twice_is_once(self) -> None:
        text = f"password=hunter2 {TOKENS[2]} https://a:b@c/ {PEM} Authorization: Basic abcdef"
        assert mask_text(mask_text(text)) == mask_text(text)

    @given(st.text())
    def test_any_text_is_taken(self, text: str) -> None:
        mask_text(text)

    @given(st.text(alphabet=string.printable, max_size=50), st.sampled_from(TOKENS))
    def test_a_token_never_survives_between_spaces(self, text: str, token: str) -> None:
        assert token not in mask_text(f"{text} {token} {text}")

    @pytest.mark.parametrize(
        "piece",
        [
            "a",
            "-",
            '\\"',
            "eyJ",
            "eyJaaaaaaaaaa.",
            "sk-",
            "sk-aaaaaaaaaaaaaaaaaaaa ",
            "ghp_",
            "AKIA",
            "xoxb-",
            "://",
            "://a:b",
            "a@",
            "password",
            "password=",
            "password='",
            'password="\\',
            "password = ",
            "key",
            "Authorization: ",
            "bearer ",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN ",
            "A ",
            " ",
            "?sig=",
            "token" + "s" * 60,
        ],
    )
    def test_a_megabyte_of_anything_is_linear(self, piece: str) -> None:
        """Anything quadratic would take hours here."""
        text = piece * ((1 << 20) // len(piece))
        mask_text(text)


class TestMaskValue:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("WANDB_API_KEY", "abc"),
            ("API_KEY", "abc"),
            ("api-key", "abc"),
            ("MY_KEY_FILE", "abc"),
            ("HF_TOKEN", "abc"),
            ("GITHUB_TOKEN", "abc"),
            ("TOKEN", "abc"),
            ("DB_PASSWORD", "abc"),  # known without a pattern
            ("PGPASSWORD", "1234"),
            ("AWS_SECRET_ACCESS_KEY", "abc"),
            ("AWS_ACCESS_KEY_ID", "abc"),
            ("client_secret", "abc"),
            ("PAD_TOKEN", LETTERS),  # harmless by name, not by value
            ("anything", TOKENS[2]),
        ],
    )
    def test_hidden(self, name: str, value: str) -> None:
        assert mask_value(name, value, PATTERNS) == MASK

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("TOKENIZERS_PARALLELISM", "false"),
            ("TOKENIZER", "bert-base"),
            ("MAX_TOKENS", "512"),
            ("TOKENS_PER_BATCH", "4096"),
            ("USE_CLS_TOKEN", "true"),
            ("PAD_TOKEN", "[PAD]"),
            ("MONKEY", "banana"),
            ("KEYBOARD", "qwerty"),
            ("KEYPOINT_MODEL", "hrnet"),
            ("SORT_KEY", "created_at"),
            ("KEY", "value"),
            ("API_KEY", ""),
            ("OMP_NUM_THREADS", "4"),
            ("PWD", "/home/bob"),
            ("CUDA_VISIBLE_DEVICES", "GPU-123e4567-e89b-12d3-a456-426614174000"),
        ],
    )
    def test_kept(self, name: str, value: str) -> None:
        assert mask_value(name, value, PATTERNS) == value

    def test_the_users_pattern_counts(self) -> None:
        assert mask_value("INTERNAL_HOST", "x1", ()) == "x1"
        assert mask_value("INTERNAL_HOST", "x1", ["internal_*"]) == MASK
        assert mask_value("TOKENIZERS_PARALLELISM", "x", ["TOKENIZERS_PARALLELISM"]) == MASK

    def test_a_secret_inside_another_value(self) -> None:
        assert mask_value("DATABASE", "postgres://a:b@host/x", ()) == "postgres://***@host/x"


class TestMaskArgv:
    @pytest.mark.parametrize(
        ("argv", "masked"),
        [
            (["x", "--password=x"], ["x", "--password=***"]),
            (["x", "--api-key", "X", "y"], ["x", "--api-key", "***", "y"]),
            (["x", "--api_key", "X"], ["x", "--api_key", "***"]),
            (["x", "--token", "X"], ["x", "--token", "***"]),
            (["env", "API_KEY=abc", "python"], ["env", "API_KEY=***", "python"]),
            (["x", "db.password=abc", "lr=1"], ["x", "db.password=***", "lr=1"]),
            (["x", "+trainer.api_key=abc"], ["x", "+trainer.api_key=***"]),
            (["git", "clone", "https://a:b@h/x"], ["git", "clone", "https://***@h/x"]),
            (["x", "--url=https://a:b@h/x"], ["x", "--url=https://***@h/x"]),
            (
                ["curl", "-H", "Authorization: Bearer abcd"],
                ["curl", "-H", "Authorization: Bearer ***"],
            ),
            (["x", TOKENS[2]], ["x", MASK]),
            (["sh", "-c", "PASSWORD=abc run"], ["sh", "-c", "PASSWORD=***"]),
            (["x", "--password"], ["x", "--password"]),
        ],
    )
    def test_hidden(self, argv: list[str], masked: list[str]) -> None:
        assert mask_argv(argv, PATTERNS) == masked

    @pytest.mark.parametrize(
        "argv",
        [
            ["python", "train.py", "--lr", "0.1", "-p", "8080"],
            ["python", "train.py", "--max_tokens=512", "--max-tokens", "512"],
            ["python", "train.py", "--tokenizer", "bert-base", "--tokenizer=bert"],
            ["python", "train.py", "--use_cls_token", "true", "--use-cls-token", "--lr", "1"],
            ["python", "train.py", "key=value", "sort_key=name", "monkey=1"],
            ["python", "train.py", "--pad-token", "[PAD]", "--key-metric", "val/acc"],
            ["mysql", "--no-password", "database"],
            ["x", "--api-key", "--lr", "0.1"],
            [],
        ],
    )
    def test_kept(self, argv: list[str]) -> None:
        assert mask_argv(argv, PATTERNS) == argv

    @given(st.lists(st.text(max_size=20)))
    def test_one_argument_in_one_argument_out(self, argv: list[str]) -> None:
        assert len(mask_argv(argv, PATTERNS)) == len(argv)


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://bob:pw@example.org/x.git", "https://example.org/x.git"),
        ("https://bob@example.org/x.git", "https://example.org/x.git"),
        ("https://b:p@w@example.org/x.git", "https://example.org/x.git"),
        ("https://example.org/x@y", "https://example.org/x@y"),
        ("https://example.org", "https://example.org"),
        ("git@example.org:team/x.git", "git@example.org:team/x.git"),
        ("ssh://git@example.org:22/x.git", "ssh://git@example.org:22/x.git"),
        ("git+ssh://git:pw@example.org/x.git", "git+ssh://git@example.org/x.git"),
        ("git+https://tok@example.org/x", "git+https://example.org/x"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("file:///srv/a@b/x.git", "file:///srv/a@b/x.git"),
        ("", ""),
    ],
)
def test_strip_userinfo(url: str, stripped: str) -> None:
    assert strip_userinfo(url) == stripped


class TestFindSecret:
    @pytest.mark.parametrize(
        "path",
        [
            ".env",
            "deploy/.env.production",
            "/home/bob/.ssh/id_rsa",
            "id_ed25519",
            ".netrc",
            "credentials.json",
            "client_secret_12.json",
            "store.p12",
            "Secrets.TOML",
        ],
    )
    def test_by_name(self, path: str) -> None:
        assert find_secret(path, b"x = 1\n")
        assert find_secret(path, b"\n") is None

    @pytest.mark.parametrize("token", TOKENS)
    def test_by_token(self, token: str) -> None:
        assert find_secret("notes.md", f"# use {token}\n".encode())

    @pytest.mark.parametrize(
        "text",
        [
            PEM,
            "url: postgres://bob:hunter2@db/x",
            "api_key: " + LETTERS,
            'password = "' + LETTERS + '"',
            "aws_secret_access_key=" + LETTERS[:20] + "/" + LETTERS[:19],
        ],
    )
    def test_by_content(self, text: str) -> None:
        assert find_secret("config.yaml", text.encode())

    def test_the_reason_reads_as_a_sentence(self) -> None:
        assert find_secret("a.pem", PEM.encode()) == "contains a private key"
        assert find_secret("a", TOKENS[2].encode()) == "contains what looks like a GitHub token"
        assert find_secret("a", f"db.password = {LETTERS}".encode()) == "contains a value for 'db.password'"

    @pytest.mark.parametrize(
        ("path", "data"),
        [
            (".env.example", b"API_KEY=\n"),
            ("id_rsa.pub", b"ssh-rsa AAAA bob@example.org\n"),
            ("ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n"),
            ("train.py", b"password = os.environ['PASSWORD']\ntoken = tokenizer.decode(x)\n"),
            ("config.yaml", b"tokenizer: bert\nmax_tokens: 512\nuse_cls_token: true\n"),
            ("test_db.py", b"url = 'postgres://user:password@localhost/x'\npassword = 'test'\n"),
            ("doc.md", b"https://<user>:<password>@example.org https://u:$PW@example.org\n"),
            ("weights.bin", b"\x00\x01" + TOKENS[0].encode()),
            ("dvc.lock", b"outs:\n- md5: 0123456789abcdef0123456789abcdef\n"),
            ("environment.py", b"x = 1\n"),
            ("tokens.txt", b"the\nof\n"),
            ("empty.txt", b""),
        ],
    )
    def test_innocent_files(self, path: str, data: bytes) -> None:
        assert find_secret(path, data) is None

    def test_a_megabyte_is_linear(self) -> None:
        for piece in ("password=", "password", "://a:b", "sk-", "-----BEGIN ", "eyJ"):
            text = piece * ((1 << 20) // len(piece))
            find_secret(text, text.encode())
            mask_value(text, text, PATTERNS)
            mask_argv([text, f"--x={text}"], PATTERNS)

    @given(st.text(), st.binary())
    def test_any_bytes_are_taken(self, path: str, data: bytes) -> None:
        find_secret(path, data)
