"""MkDocs: links that leave docs/ lead to the repository, every decision is in the navigation, pictures follow the reader's colours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PICTURE = re.compile(r"!\[([^\]]*)\]\(((?:\w+/)*[\w-]+)\.(png|gif|svg)\)")
LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")


def on_config(config: Any) -> Any:
    """Every decision has its place in the navigation."""
    folder = Path(config["docs_dir"]) / "decisions"
    for section in config["nav"]:
        for entry in section.get("How it works", []):
            if "Decisions" in entry:
                entry["Decisions"] += [f"decisions/{page.name}" for page in sorted(folder.glob("0*.md"))]
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    docs = Path(config["docs_dir"])
    here = (docs / page.file.src_uri).parent

    def outward(match: re.Match[str]) -> str:
        target = (here / match[2]).resolve()
        inside = target.is_relative_to(docs) and files.get_file_from_path(target.relative_to(docs).as_posix()) is not None
        if inside or not target.exists():  # what is not there is for the builder to complain of
            return match[0]
        return f"{match[1]}{config['repo_url']}/blob/main/{target.relative_to(docs.parent).as_posix()}"

    def in_both(match: re.Match[str]) -> str:
        """The theme shows one of two pictures, where there is one for dark grounds; elsewhere (on a forge) the page has the light one."""
        text, name, kind = match.groups()
        if not (here / f"{name}-dark.{kind}").exists():
            return match[0]
        return f"![{text}]({name}.{kind}#only-light)![{text}]({name}-dark.{kind}#only-dark)"

    return PICTURE.sub(in_both, LINK.sub(outward, markdown))
