# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's own MCP server, of the SDK from npm, and the official SDK from PyPI, which speaks to it."""

from __future__ import annotations

import functools
import hashlib
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from .harness import Fuelctl

#: The tool tells digests, so that no value is in what a test prints. `GIVEN` is what the blueprint gives by its name.
_SERVER = """\
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const digest = (name) => createHash("sha256").update(process.env[name] ?? "").digest("hex");
const server = new McpServer({ name: "tools", version: "1.0.0" });
const about = { description: "SHA-256 of a variable", inputSchema: { name: z.string() } };
const text = ({ name }) => `${digest(name)} ${process.cwd()}`;
server.registerTool("digest", about, async (given) => ({ content: [{ type: "text", text: text(given) }] }));
if (process.env.GIVEN) writeFileSync(`${process.env.HOME}/given`, digest("GIVEN"));
await server.connect(new StdioServerTransport());
"""
FILES = {
    "server.mjs": _SERVER,
    "package.json": '{"private": true, "type": "module", "dependencies": {"@modelcontextprotocol/sdk": "^1.20.0"}}\n',
}
IGNORED = "node_modules/\npackage-lock.json\n"
SETUP = "npm install --no-audit --no-fund --loglevel=error"
COMMAND = ("node", "server.mjs")
AGENT = 'agent: {mcp_servers: {tools: {command: node, args: [server.mjs], env: {GIVEN: "${API_KEY}"}}}}\n'


@dataclass(frozen=True)
class Answer:
    """What the server called itself, which tools it has, and what the one of them said."""

    server: str
    tools: list[str]
    text: str


def speak(user: Fuelctl, name: str, variable: str) -> Answer:
    """By `fuelctl exec NAME -- node server.mjs`, and nothing else."""
    return anyio.run(functools.partial(_speak, user, name, variable))


async def _speak(user: Fuelctl, name: str, variable: str) -> Answer:
    program, *arguments = user.argv("exec", name, "--", *COMMAND)
    with anyio.fail_after(180):
        async with AsyncExitStack() as stack:
            server = StdioServerParameters(command=program, args=arguments, env=user.env())
            read, write = await stack.enter_async_context(stdio_client(server))
            session = await stack.enter_async_context(ClientSession(read, write))
            begun = await session.initialize()
            tools = (await session.list_tools()).tools
            said = (await session.call_tool("digest", {"name": variable})).content[0]
            return Answer(begun.server_info.name, [each.name for each in tools], str(getattr(said, "text", said)))


def the_agent_reaches_it(user: Fuelctl, name: str, secret: str) -> None:
    """The agent starts it by itself, with the secret that the blueprint only names."""
    listed = user.run("exec", name, "--", "claude", "mcp", "list").text
    assert "tools: node server.mjs" in listed, listed
    assert "Connected" in listed, listed
    assert user.run("exec", name, "--", "sh", "-c", "cat ~/given").stdout == digest(secret)
    assert secret not in user.run("exec", name, "--", "sh", "-c", "cat ~/.claude.json ~/.claude/settings.json").stdout


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
