"""Write docs/env_vars.md, the page of environment variables, from the table in src/rushlight/base/env.py.

    python tools/make_env_docs.py            # rewrites the page
    python tools/make_env_docs.py --check    # exit status 1 when the page is not what the table says
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "env_vars.md"
sys.path.insert(0, str(ROOT / "src"))

from rushlight.base.env import VARIABLES  # noqa: E402  (found on the path set above)

HEAD = """\
# Environment variables

Every variable rushlight reads. Where legal values are listed, any other is an error that names them. This page is made by
`python tools/make_env_docs.py`; change `src/rushlight/base/env.py` instead.

| variable | legal values | default | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The text of the page."""
    rows = []
    for variable in VARIABLES:
        legal = ", ".join(f"`{choice}`" for choice in variable.choices) or "any text"
        default = f"`{variable.default}`" if variable.default else "not set"
        rows.append(f"| `{variable.name}` | {legal} | {default} | {variable.meaning} |\n")
    return HEAD + "".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the table says: run `python tools/make_env_docs.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
