"""`pytest tests/contract --method NAME`: the tests of one method alone."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--method", action="append", help="only the tests of this method")


def pytest_collection_modifyitems(config, items):
    methods = config.getoption("--method", None)
    if methods is None:
        return
    of = {item: getattr(item, "callspec", None) for item in items}
    kept = [item for item in items if of[item] and of[item].params.get("name") in methods]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
