"""Hook of mkdocs: links from docs/ to files elsewhere in the repository lead to that file on its host.

A link to a file that is not there is a warning, which ends
`make docs`.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
log = logging.getLogger("mkdocs.plugins.docs_links")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 (mkdocs' signature)
    """Return the page with those links translated. mkdocs calls this for each page."""
    return translate(markdown, page.file.src_uri, str(config.repo_url))


def translate(markdown: str, page: str, repository: str) -> str:
    """Return the text with each link that leads out of docs/ as one to the repository's host.

    `page`: path of the page below docs/; `repository`: its URL.
    """

    def host(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), match[1]))
        if path.startswith("docs/"):
            return match[0]
        if path.startswith("..") or not (ROOT / path).exists():
            log.warning("%s links to %s, which is not there", page, match[1])
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"]({repository.rstrip('/')}/{kind}/main/{path}{match[2] or ''})"

    return LINK.sub(host, markdown)
