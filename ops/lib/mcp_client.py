"""Drives the MCP server with the published Python client, over both transports and with both kinds of revisions.

Needs QUOTASTACK_URL, QUOTASTACK_TEST_KEY and QUOTASTACK_LIVE_KEY of an installation, and QUOTASTACK, the executable.
"""

import asyncio
import json
import os
import urllib.request
import uuid

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

URL = os.environ["QUOTASTACK_URL"]
WRITERS = {"grant_credits", "record_usage"}
DOCS = {"docs_search", "docs_read"}


def call(method, path, body=None):
    """One call of the API itself."""
    headers = {
        "Authorization": "Bearer " + os.environ["QUOTASTACK_TEST_KEY"],
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
        return json.load(answer)


def over_http(key):
    """The transport of /mcp, with a key or without one."""
    headers = {"Authorization": "Bearer " + key} if key else {}
    return streamable_http_client(URL + "/mcp", http_client=httpx2.AsyncClient(headers=headers))


def over_stdio(key):
    """The transport of `quotastack mcp`."""
    if key is None:
        return StdioServerParameters(command=os.environ["QUOTASTACK"], args=["mcp"])
    is_live = key.startswith("qs_live_")
    name = "QUOTASTACK_LIVE_KEY" if is_live else "QUOTASTACK_TEST_KEY"
    arguments = ["mcp", "--live"] if is_live else ["mcp"]
    environment = {"QUOTASTACK_URL": URL, name: key}
    return StdioServerParameters(command=os.environ["QUOTASTACK"], args=arguments, env=environment)


async def use_with_test_key(client, user, feature):
    """Calls every tool and reads a resource."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert WRITERS | DOCS < set(tools), tools
    for name, tool in tools.items():
        assert tool.annotations.read_only_hint == (name not in WRITERS), name
        assert tool.input_schema["type"] == "object", name

    async def result(name, **arguments):
        answer = await client.call_tool(name, arguments)
        assert not answer.is_error, answer
        return answer.structured_content

    granted = await result("grant_credits", end_user_id=user, credits=10_000, idempotency_key=str(uuid.uuid4()))
    assert granted["balance"] == 10_000, granted
    assert (await result("check", end_user_id=user, feature_key=feature, units=2))["allowed"]
    assert (await result("record_usage", end_user_id=user, feature_key=feature, units=2))["cost"] == 2_000
    balance = await result("balance", end_user_id=user)
    assert balance["balance"] == 8_000 == call("GET", f"/v1/credits/balance?end_user_id={user}")["balance"]
    page = await result("ledger", end_user_id=user, limit=1)
    assert page["data"][0]["type"] == "use" and page["pagination"]["has_more"], page
    page = await result("ledger", end_user_id=user, limit=1, cursor=page["pagination"]["next_cursor"])
    assert page["data"][0]["type"] == "grant", page
    assert (await result("explain", end_user_id=user, feature_key=feature))["balance"] == 8_000
    assert (await result("usage", end_user_id=user))["data"][0]["cost"] == 2_000
    for name in ["features", "plans"]:
        assert "data" in await result(name)
    assert (await result("subscriptions", end_user_id=user))["data"] == []

    unknown = await client.call_tool("balance", {"end_user_id": "nobody"})
    assert unknown.is_error and "unknown_end_user" in unknown.content[0].text, unknown
    wrong = await client.call_tool("check", {"end_user_id": user})
    assert wrong.is_error and "feature_key is required" in wrong.content[0].text, wrong
    try:
        await client.call_tool("steal", {})
        raise AssertionError("an unknown tool was called")
    except MCPError as error:
        assert error.code == -32602, error


async def use_docs(client):
    """Reads the documentation, as a tool and as a resource."""
    found = await client.call_tool("docs_search", {"query": "idempotency key", "limit": 3})
    assert not found.is_error and "/docs/" in found.content[0].text, found
    read = await client.call_tool("docs_read", {"page": "/docs/quickstart"})
    assert read.content[0].text.startswith("# Quickstart"), read
    resources = (await client.list_resources()).resources
    assert len(resources) > 60, len(resources)
    contents = (await client.read_resource(resources[0].uri)).contents
    assert contents[0].text.startswith("# "), contents
    assert (await client.list_resource_templates()).resource_templates == []


async def main():
    feature = "mcp-" + uuid.uuid4().hex[:8]
    call("POST", "/v1/features", {"key": feature, "name": "Calls", "type": "metered"})
    call("POST", "/v1/metering-rules", {"feature_key": feature, "model": "per_unit", "unit_cost": 1000})
    for transport in [over_http, over_stdio]:
        for mode in ["legacy", "auto"]:
            async with Client(transport(os.environ["QUOTASTACK_TEST_KEY"]), mode=mode) as client:
                assert client.server_info.name == "quotastack", client.server_info
                assert client.instructions and client.server_capabilities.tools is not None
                await use_with_test_key(client, "user-" + uuid.uuid4().hex, feature)
                await use_docs(client)
                revision = client.protocol_version
            async with Client(transport(os.environ["QUOTASTACK_LIVE_KEY"]), mode=mode) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
                assert not names & WRITERS and "balance" in names, names
                refused = await client.call_tool("grant_credits", {"end_user_id": "a", "credits": 1})
                assert refused.is_error and "test_mode_only" in refused.content[0].text, refused
            async with Client(transport(None), mode=mode) as client:
                assert {tool.name for tool in (await client.list_tools()).tools} == DOCS
                await use_docs(client)
            print(f"{transport.__name__}, {mode}: revision {revision}")


asyncio.run(main())
