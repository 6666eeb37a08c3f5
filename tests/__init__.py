"""Tests mirror the package: gittrack/index/filter.py is tested in tests/index/test_filter.py."""
