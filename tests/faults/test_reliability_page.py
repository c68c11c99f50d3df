"""docs/reliability.md tells what the tests test."""

from helpers import fault_table


def test_the_page_is_that_of_the_tests():
    assert fault_table.PAGE.read_text() == fault_table.page(), (
        "write it again: python tests/helpers/fault_table.py"
    )


def test_no_fault_is_told_twice_and_there_are_many():
    told = [(area, what) for area, what, _, _ in fault_table.faults()]
    assert len(set(told)) == len(told) >= 60
