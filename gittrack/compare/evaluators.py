"""How much params matter, computed by optuna; imported when somebody asks."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.compare.importance import Evaluate, Rows, Varied
from gittrack.errors import MissingExtra

if TYPE_CHECKING:
    from gittrack.compare.pareto import Goal

# PED-ANOVA asks what the best runs have in common: a tenth of all, and at least five where that is no more than half.
_BEST_SHARE, _BEST, _MOST = 0.1, 5, 0.5


def evaluator(method: str, varied: Sequence[Varied], values: Sequence[float], goal: Goal) -> Evaluate:
    """What computes importances of these params for a metric; raises MissingExtra.

    fANOVA and MDI (scikit-learn's forests, seeded) do not care for the goal.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtra("importance needs optuna: pip install 'gittrack[importance]'") from None
    values = _scaled(values)
    distributions = {one.key: _distribution(optuna.distributions, one) for one in varied}
    columns = {one.key: [int(value) for value in one.values] if one.kind == "choice" else one.values for one in varied}

    def evaluate(rows: Rows, targets: Rows) -> Mapping[str, float]:
        trials = [
            optuna.trial.create_trial(
                params={key: column[row] for key, column in columns.items()},
                distributions=distributions,
                value=values[target],
            )
            for row, target in zip(rows, targets, strict=True)
        ]
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                # Some evaluators are called experimental; that is for the guide to say.
                warnings.simplefilter("ignore")
                study = optuna.create_study(direction="maximize" if goal == "max" else "minimize")
                study.add_trials(trials)
                # Never the names of the params: of those, if not sorted, MDI mixes up which is which.
                return dict(_made(optuna.importance, method, len(rows)).evaluate(study))
        except RuntimeError:
            return {}  # fANOVA, where its forests see no difference at all
        except ImportError:
            raise MissingExtra(
                f"--method {method} needs scikit-learn: pip install scikit-learn; ped-anova does without it"
            ) from None
        finally:
            optuna.logging.set_verbosity(verbosity)

    return evaluate


def _scaled(values: Sequence[float]) -> list[float]:
    """From 0 to 1: no evaluator cares for the scale, but forests fail beyond what has a square."""
    size = max(map(abs, values)) or 1.0
    near = [value / size for value in values]
    low, high = min(near), max(near)
    return [(value - low) / ((high - low) or 1.0) for value in near]


def _distribution(distributions: Any, one: Varied) -> Any:
    if one.kind == "choice":
        return distributions.CategoricalDistribution(tuple(range(one.choices)))
    return distributions.FloatDistribution(min(one.values), max(one.values), log=one.kind == "log")


def _made(importance: Any, method: str, runs: int) -> Any:
    if method == "fanova":
        return importance.FanovaImportanceEvaluator(seed=0)
    if method == "mdi":
        return importance.MeanDecreaseImpurityImportanceEvaluator(seed=0)
    share = max(_BEST_SHARE, min(_MOST, _BEST / runs))
    made = importance.PedAnovaImportanceEvaluator
    # optuna 4 has another name for it.
    name = "target_quantile" if "target_quantile" in inspect.signature(made).parameters else "baseline_quantile"
    return made(**{name: share})
