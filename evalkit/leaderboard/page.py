"""Self-contained HTML pages: a template with its style and script inside, and nothing from elsewhere.

Everything that comes from data is escaped by Jinja, after control characters, lone surrogates and changes
of writing direction were made visible. A content-security policy lets the browser run the page's own
script and style, known by their hashes, and load nothing over the network.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from evalkit.text import visible


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after `_`, `/` or `-`."""
    parts = re.split(r"(?<=[_/-])(?=\w)", visible(name))
    return Markup("<wbr>").join(parts)


def render_page(name: str, **content: Any) -> str:
    """The page of the template `<name>.html.j2`, with `page.css` and `<name>.js` inside it."""
    environment = _environment()
    style, script = (Markup(_source(file)) for file in ("page.css", f"{name}.js"))  # noqa: S704
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(f"{name}.html.j2")
    return page.render(style=style, script=script, policy=policy, **content)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evalkit.leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def _source(file: str) -> str:
    """A file of this package as it is; it must not end the element that it will stand in."""
    environment = _environment()
    assert environment.loader is not None
    text = environment.loader.get_source(environment, file)[0].strip()
    if "</" in text:
        raise ValueError(f"templates/{file} holds '</', which would end its element")
    return text


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
