"""gittrack: experiment tracking inside git; a run is a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gittrack._version import __version__

if TYPE_CHECKING:
    from gittrack.data.artifact import RunArtifact
    from gittrack.errors import DirtyTree, GittrackError
    from gittrack.fluent import (
        active_run,
        describe,
        experiments,
        finish,
        get_artifact,
        get_run,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_fold,
        log_image,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_table,
        log_text,
        model,
        runs,
        set_seeds,
        set_tag,
        set_tags,
        start_run,
        use,
    )
    from gittrack.models.version import ModelVersion
    from gittrack.project import Project
    from gittrack.run import Run, Runs
    from gittrack.tracking.active import ActiveRun

__all__ = [
    "ActiveRun",
    "DirtyTree",
    "GittrackError",
    "ModelVersion",
    "Project",
    "Run",
    "RunArtifact",
    "Runs",
    "__version__",
    "active_run",
    "describe",
    "experiments",
    "finish",
    "get_artifact",
    "get_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_fold",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "model",
    "runs",
    "set_seeds",
    "set_tag",
    "set_tags",
    "start_run",
    "use",
]

_ROOMS = {
    "ActiveRun": "gittrack.tracking.active",
    "DirtyTree": "gittrack.errors",
    "GittrackError": "gittrack.errors",
    "ModelVersion": "gittrack.models.version",
    "Project": "gittrack.project",
    "Run": "gittrack.run",
    "RunArtifact": "gittrack.data.artifact",
    "Runs": "gittrack.run",
}


def __getattr__(name: str) -> Any:
    # Names are looked up when first used, so that `import gittrack` costs next to nothing.
    if name not in __all__:
        raise AttributeError(f"module 'gittrack' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ROOMS.get(name, "gittrack.fluent")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
