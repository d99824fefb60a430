import sys

if "pytest" in sys.modules:  # not in the processes that tests start: they have no use for it
    sys.modules["pytest"].register_assert_rewrite("tests.support")
