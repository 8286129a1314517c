"""The blueprint that serves an AsyncAPI document, and a page of it that needs nothing from the internet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Response, render_template_string, request
from flask.globals import request_ctx

from .asyncapi import describe

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ document.info.title }}: messages</title>
<style>
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
    --soft: color-mix(in srgb, currentColor 6%, transparent); --dim: color-mix(in srgb, currentColor 62%, transparent) }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.5rem }
  h2 code { font-size: 1.1rem } p.doc { white-space: pre-line }
  .dim { color: var(--dim) }
  .message { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0 }
  .message h4 { margin: 0 } .tag { font: .8rem/1.6 ui-monospace, monospace; color: var(--dim) }
  pre { background: var(--soft); padding: .75rem; border-radius: .4rem; overflow-x: auto; font-size: .85rem }
  table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem;
    border-bottom: 1px solid var(--line); vertical-align: top } th { font-weight: 600 }
  nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .3rem 1rem }
</style>
<h1>{{ document.info.title }}</h1>
<p class="dim">Version {{ document.info.version }}{% if document.servers %},
  {{ document.servers.this.protocol }}://{{ document.servers.this.host }}{% endif %}.
  <a href="asyncapi.json">AsyncAPI {{ document.asyncapi }}</a></p>
{% if document.info.description %}<p class="doc">{{ document.info.description }}</p>{% endif %}
<nav aria-label="WebSockets">
{% for key, channel in document.channels.items() %}<a href="#{{ key }}"><code>{{ channel.address }}</code></a>
{% endfor %}</nav>
{% for key, channel in document.channels.items() %}
<section id="{{ key }}">
<h2><code>{{ channel.address }}</code></h2>
{% if channel.description %}<p class="doc">{{ channel.description }}</p>{% endif %}
{% if channel.parameters %}
<h3>Variables</h3>
<p>{% for name in channel.parameters %}<code>{{ name }}</code> {% endfor %}</p>
{% endif %}
{% if channel.bindings %}
<h3>Query parameters</h3>
<table><tr><th>name<th>type<th>default</tr>
{% for name, schema in channel.bindings.ws.query.properties.items() %}
<tr><td><code>{{ name }}</code><td>{{ schema.type }}{% if schema['items'] %} of {{ schema['items'].type }}{% endif %}
  {%- if schema.enum %}: {{ schema.enum | join(", ") }}{% endif %}
<td>{% if name in channel.bindings.ws.query.required or () %}required
  {%- elif 'default' in schema %}<code>{{ schema.default | tojson }}</code>{% endif %}</tr>
{% endfor %}</table>
{% endif %}
{% for action, title in (("receive", "What you send"), ("send", "What you receive")) %}
{% set operation = document.operations[key ~ "." ~ action] %}
{% if operation %}
<h3>{{ title }}</h3>
{% for reference in operation.messages %}{% set message = resolve(reference["$ref"]) %}
<div class="message">
<h4>{{ message.name }} <span class="tag">{{ message.contentType or document.defaultContentType }}</span></h4>
{% if message.summary %}<p>{{ message.summary }}</p>{% endif %}
{% if message.examples %}<pre>{{ message.examples[0].payload | tojson(indent=2) }}</pre>{% endif %}
{% set schema = resolve(message.payload["$ref"]) if message.payload["$ref"] else message.payload %}
{% if schema.properties %}
<table><tr><th>field<th>type<th></tr>
{% for name, field in schema.properties.items() %}
<tr><td><code>{{ name }}</code><td>{{ field.type or (field["$ref"] or "").rpartition("/")[2]
  or (field.anyOf or []) | map(attribute="type") | select | join(" or ") or field.enum | join(", ") }}
<td>{% if name in (schema.required or ()) %}required{% elif 'default' in field %}default
  <code>{{ field.default | tojson }}</code>{% endif %} {{ field.description or "" }}</tr>
{% endfor %}</table>
{% endif %}
</div>
{% endfor %}
{% endif %}
{% endfor %}
</section>
{% endfor %}
</html>
"""


def asyncapi(title: str | None = None, version: str = "1.0.0", description: str | None = None) -> Blueprint:
    """Return a blueprint that serves the document as /asyncapi.json, and a page of it as /asyncapi.

    Args:
        title: of the application; its name, if none is given.
        version: of the application's messages.
        description: of the application, in Markdown.
    """
    blueprint = Blueprint("asyncapi", __name__)

    def make() -> dict[str, Any]:
        scheme = "wss" if request.is_secure else "ws"
        server = {"host": request.host, "pathname": request.root_path or "/", "protocol": scheme}
        return describe(request_ctx.app, title, version, description, server)

    @blueprint.get("/asyncapi.json")
    def serve_document() -> Response:
        return Response(json.dumps(make(), indent=2), content_type="application/json")

    @blueprint.get("/asyncapi")
    def serve_page() -> str:
        document = make()
        return render_template_string(PAGE, document=document, resolve=_resolver(document))

    return blueprint


def _resolver(document: dict[str, Any]) -> Callable[[str], Any]:
    """Return what finds the parts of a document that others refer to."""

    def resolve(reference: str) -> Any:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found

    return resolve
