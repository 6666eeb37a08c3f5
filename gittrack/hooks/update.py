"""What a repository that is pushed to lets become of its refs of models, ledgers and runs; `hooks/update` calls it for each.

git calls this hook for one ref after the other. With `--atomic` none has moved before the last was looked at: what else comes
in the same push is known by its objects, which are here by then.
"""

from __future__ import annotations

from gittrack.errors import UsageError
from gittrack.git.repository import id_or_none
from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.ledger import layout
from gittrack.registry.tagname import SEQUENCE, TAGS, looks_like_tag


def check(call: Call) -> Verdict:
    """Of git's `<ref> <old object> <new object>`; raises UsageError for other words."""
    if len(call.words) != 3:
        raise UsageError("git calls the update hook with a ref and two objects; copy hooks/update as it is")
    ref, old, new = call.words
    why = _refusal(call, ref, id_or_none(old), id_or_none(new))
    return Verdict(refusals=(f"{ref}: {why}",)) if why else PASSED


def _refusal(call: Call, ref: str, old: str | None, new: str | None) -> str:
    """Why the ref may not become what it is to be; empty where it may, or is nobody's business here."""
    if ref.startswith(SEQUENCE) or (ref.startswith(TAGS) and looks_like_tag(ref[len(TAGS) :])):
        from gittrack.hooks.update_models import refusal

        return refusal(call, ref, old, new)
    if not ref.startswith(layout.RUNS):
        return ""
    from gittrack.hooks.update_ledgers import ledger_refusal, run_refusal

    if ref.startswith(layout.LEDGERS):
        return ledger_refusal(call, ref, old, new)
    return run_refusal(call, ref, old, new) if layout.parse_run_ref(ref) is not None else ""
