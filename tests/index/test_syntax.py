"""Reading filters: what is understood, and what is said about mistakes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.errors import FilterError
from gittrack.index.filter import Ago, And, Compare, Field, In, IsNull, Moment, Not, Or
from gittrack.index.syntax import parse, parse_sort
from tests.index.samples import BEGINNING

LR = Field("params", "lr")
ACC = Field("metrics", "val/acc")
STATUS = Field("run", "status")
STARTED = Field("run", "started")
DURATION = Field("run", "duration")


def test_the_example_of_the_command_contract():
    read = parse(
        'metrics.val/acc > 0.9 and params.lr <= 1e-3 and tags.stage = "cv" and status = finished and started > -7d'
    )
    assert read.root == And(
        (
            Compare(ACC, ">", 0.9),
            Compare(LR, "<=", 0.001),
            Compare(Field("tags", "stage"), "=", "cv"),
            Compare(STATUS, "=", "finished"),
            Compare(STARTED, ">", Ago(7 * 86400)),
        )
    )


@pytest.mark.parametrize(
    ("expression", "node"),
    [
        ("params.lr=0.1", Compare(LR, "=", 0.1)),
        ("params.lr == 1", Compare(LR, "=", 1)),
        ("params.lr!=-2.5", Compare(LR, "!=", -2.5)),
        ("params.lr < inf", Compare(LR, "<", math.inf)),
        ("params.lr > -INF", Compare(LR, ">", -math.inf)),
        ("params.lr = 99999999999999999999", Compare(LR, "=", 1e20)),
        ('params.lr = "0.1"', Compare(LR, "=", "0.1")),
        ("params.lr = 'it''s'", Compare(LR, "=", "it's")),
        ("params.lr = 'a \"b\"'", Compare(LR, "=", 'a "b"')),
        ("params.lr = true", Compare(LR, "=", True)),
        ("params.lr = False", Compare(LR, "=", False)),
        ("params.lr = 'true'", Compare(LR, "=", "true")),
        ("params.lr = 5m", Compare(LR, "=", "5m")),
        ("params.lr = 2026-01-31", Compare(LR, "=", "2026-01-31")),
        ("params.`my key` = resnet-50", Compare(Field("params", "my key"), "=", "resnet-50")),
        ("params.model.`my key` = 1", Compare(Field("params", "model.my key"), "=", 1)),
        ("params.`a > b` > 1", Compare(Field("params", "a > b"), ">", 1)),
        ("metrics.gpu:0/load > 1", Compare(Field("metrics", "gpu:0/load"), ">", 1)),
        ("metrics.val/acc = NaN", Compare(ACC, "=", "nan")),
        ("metrics.val/acc in (1, 2.5)", In(ACC, (1, 2.5))),
        ("status in (failed, 'killed')", In(STATUS, ("failed", "killed"))),
        ("status not in (Failed)", Not(In(STATUS, ("failed",)))),
        ("params.lr is null", IsNull(LR)),
        ("params.lr IS NOT NULL", Not(IsNull(LR))),
        ("params.lr = null", IsNull(LR)),
        ("params.lr != null", Not(IsNull(LR))),
        (r"name ~ ^rf-\d+$", Compare(Field("run", "name"), "~", r"^rf-\d+$")),
        (r'name ~ "a (b|c)\."', Compare(Field("run", "name"), "~", r"a (b|c)\.")),
        ("name = 123", Compare(Field("run", "name"), "=", "123")),
        ("dirty = TRUE", Compare(Field("run", "dirty"), "=", True)),
        ("duration > 90s", Compare(DURATION, ">", 90.0)),
        ("duration > 1.5h", Compare(DURATION, ">", 5400.0)),
        ("duration > 10", Compare(DURATION, ">", 10)),
        ("started > -30m", Compare(STARTED, ">", Ago(1800))),
        ("started > -2w", Compare(STARTED, ">", Ago(14 * 86400))),
        ("started = 2026-01-01", Compare(STARTED, "=", Moment(BEGINNING, 86400))),
        ("started = 2026-01-01T12:00Z", Compare(STARTED, "=", Moment(BEGINNING + 43200, 60))),
        ("started = 2026-01-01T12:00+02:00", Compare(STARTED, "=", Moment(BEGINNING + 36000, 60))),
        ("started = '2026-01-01 12:00:01'", Compare(STARTED, "=", Moment(BEGINNING + 43201, 1))),
        ("started = 2026-01-01T00:00:00.5", Compare(STARTED, "=", Moment(BEGINNING + 0.5, 0))),
    ],
)
def test_conditions(expression, node):
    assert parse(expression).root == node


def test_and_binds_closer_than_or_and_not_closest():
    a, b, c = (Compare(Field("params", key), "=", 1) for key in "abc")
    assert parse("params.a=1 or params.b=1 and params.c=1").root == Or((a, And((b, c))))
    assert parse("(params.a=1 or params.b=1) and params.c=1").root == And((Or((a, b)), c))
    assert parse("not params.a=1 and params.b=1").root == And((Not(a), b))
    assert parse("NOT (params.a=1 AND params.b=1) OR not not params.c=1").root == Or((Not(And((a, b))), Not(Not(c))))


MISTAKES = [
    ("", 0, "the filter is empty"),
    ("   ", 0, "the filter is empty"),
    ("lr = 0.1", 0, "no field 'lr'; or is it params.lr or metrics.lr?"),
    ("stauts = finished", 0, "did you mean status?"),
    ("metric.acc > 1", 0, "did you mean metrics?"),
    ("params. = 1", 0, "a key is missing after 'params.'"),
    ("params.lr", 9, "ends too early: expected an operator"),
    ("params.lr =", 11, "ends too early: expected a value"),
    ("params.lr = and", 12, "expected a value, found 'and'"),
    ("params.lr 0.1", 10, "expected an operator"),
    ("params.lr is 3", 13, "expected 'null'"),
    ("params.lr is not 3", 17, "expected 'null'"),
    ("params.lr not 3", 14, "expected 'in' after 'not'"),
    ("params.lr in 3", 13, "expected '('"),
    ("params.lr in ()", 14, "expected a value"),
    ("params.lr in (1 2)", 16, "expected ',' or ')'"),
    ("params.lr in (1, null)", 17, "null is in no list"),
    ("params.lr < null", 12, "nothing is above, below or like null"),
    ("params.lr < true", 10, "has no order"),
    ("status > finished", 7, "has no order"),
    ("status = finishd", 9, "did you mean finished?"),
    ("status = finished)", 17, "expected 'and', 'or' or the end"),
    ("(status = finished", 18, "expected ')'"),
    ("name = brave otter", 13, "text with spaces needs quotes"),
    ("name = 'abc", 7, "this ' is never closed"),
    ("params.`abc = 1", 7, "this ` is never closed"),
    ("params.a !> 1", 9, "'!' alone means nothing"),
    ("0.9 < metrics.acc", 0, "a condition begins with a field"),
    ("metrics.a > metrics.b", 12, "compared with a value, not with another field"),
    ("metrics.acc > high", 14, "is a number; write one"),
    ("metrics.acc > '0.9'", 14, "without quotes"),
    ("dirty = maybe", 8, "is true or false"),
    ("duration > soon", 11, "write it like 90s"),
    ("started > yesterday", 10, "write -7d, 2026-01-31"),
    ("started > 2026-13-01", 10, "is no time for started"),
    ("started > 7", 10, "is no time for started"),
    ("started ~ 2026", 10, "started is not text"),
    ('name ~ "("', 7, "is not a regular expression"),
    ("name = \udc80", 7, "is not valid Unicode"),
    ("not " * 60 + "dirty = true", 200, "nested more than 50 deep"),
    ("(" * 5000, 50, "nested more than 50 deep"),
    ("name in (" + "a," * 5000 + "a)", 9 + 2 * 1999 + 1, "more than 2,000"),
]


@pytest.mark.parametrize(("expression", "position", "message"), MISTAKES, ids=[one[0][:25] for one in MISTAKES])
def test_a_mistake_is_named_at_its_character(expression, position, message):
    with pytest.raises(FilterError) as caught:
        parse(expression)
    assert message in str(caught.value)
    assert caught.value.position == position
    assert caught.value.expression == expression
    assert caught.value.exit_code == 2


WORDS = [
    "params.lr",
    "status",
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "(",
    ")",
    ",",
    "=",
    "~",
    "<",
    "1",
    "x",
    "'",
    '"',
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join)))
def test_any_text_is_read_or_refused_within_its_length(expression):
    try:
        read = parse(expression)
    except FilterError as error:
        position = error.position
    else:
        position = 0
        assert parse(str(read)) == read
    assert position is not None
    assert 0 <= position <= len(expression)


@pytest.mark.parametrize(
    ("text", "field", "falling"),
    [
        ("-metrics.val/acc", ACC, True),
        ("metrics.val/acc", ACC, False),
        ("+started", STARTED, False),
        ("params.my key", Field("params", "my key"), False),
        ("-params.`my key`", Field("params", "my key"), True),
    ],
)
def test_sort_keys(text, field, falling):
    assert parse_sort(text) == (field, falling)


def test_a_wrong_sort_key_is_refused():
    with pytest.raises(FilterError, match="did you mean started"):
        parse_sort("-startd")
