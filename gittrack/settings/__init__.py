"""Settings: what may be set, where it may be said, and what is wrong with what was said."""

from gittrack.settings.load import PROTOCOL_VARIABLES, SETTINGS_FILE, load_settings, settings_of
from gittrack.settings.schema import GUARDED_LEDGERS, SCHEMA, Setting
from gittrack.settings.values import (
    ArtifactSettings,
    EnvironmentSettings,
    Goal,
    GuardSettings,
    MetricSettings,
    ParamSettings,
    RegistrySettings,
    ReportSettings,
    Retention,
    RunSettings,
    Settings,
)

__all__ = [
    "GUARDED_LEDGERS",
    "PROTOCOL_VARIABLES",
    "SCHEMA",
    "SETTINGS_FILE",
    "ArtifactSettings",
    "EnvironmentSettings",
    "Goal",
    "GuardSettings",
    "MetricSettings",
    "ParamSettings",
    "RegistrySettings",
    "ReportSettings",
    "Retention",
    "RunSettings",
    "Setting",
    "Settings",
    "load_settings",
    "settings_of",
]
