"""The table of docs/reliability.md, from the `fault` marks of the tests.

python tests/helpers/fault_table.py      # writes it
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- table: python tests/helpers/fault_table.py -->\n"
AREAS = (
    "Killed and stopped",
    "Two runs, changed runs",
    "Divergence",
    "Files of a run",
    "Disk",
    "Several workers",
    "Evaluation beside training",
    "Pictures",
    "Records",
    "Weights",
)


def faults() -> list[tuple[str, str, str, str]]:
    """Area, fault, what happens, and the test; by area."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            for mark in getattr(node, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    words = [ast.literal_eval(argument) for argument in mark.args]
                    found.append((*words, f"{path.relative_to(ROOT / 'tests')}::{node.name}"))
    return sorted(found, key=lambda fault: AREAS.index(fault[0]))


def table() -> str:
    lines, before = [], None
    for area, fault, outcome, test in faults():
        if area != before:
            lines += [f"\n## {area}\n", "| what | what happens | test |", "|---|---|---|"]
        before = area
        file, _, name = test.partition("::")
        lines.append(f"| {fault} | {outcome} | [{name}](../tests/{file}) |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page as it should be."""
    return PAGE.read_text().partition(BEGIN)[0] + BEGIN + table()


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{len(faults())} faults")
