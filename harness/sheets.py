"""Moved to harness.text."""

from harness.text import FORMULA, SheetRow
from harness.text import escape_cell as defused
from harness.text import format_row_errors as told
from harness.text import read_sheet as sheet
from harness.text import restore_cell as restored

__all__ = ["FORMULA", "SheetRow", "defused", "restored", "sheet", "told"]
