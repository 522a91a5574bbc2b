"""Run one example of a document: `python -c <this> SOURCE URL FOLDER`.

A fragment is completed by what its document has made before: `connect` of the client
it uses, and a connection `ws`. A fragment that only defines functions has those called
that need no argument.
"""

import ast
import asyncio
import inspect
import os
import sys


source, url, folder = sys.argv[1:4]
os.chdir(folder)

tree = ast.parse(source)
names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
stored = {
    node.id
    for node in ast.walk(tree)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
}
imported = {
    alias.asname or alias.name.split(".")[0]
    for node in ast.walk(tree)
    if isinstance(node, ast.Import | ast.ImportFrom)
    for alias in node.names
}
asynchronous = any(
    isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)
    for node in ast.walk(tree)
)
namespace = {"__name__": "__main__"}
code = compile(tree, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

if asynchronous:
    from websocket_rs.async_client import connect
else:
    from websocket_rs.sync_client import connect
if "connect" in names - imported:
    namespace["connect"] = connect
if asynchronous and "asyncio" in names - imported:
    namespace["asyncio"] = asyncio
needs_connection = "ws" in names - stored


def functions_to_call() -> list:
    """Return the functions of an example that does nothing but define them."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)
    if not all(isinstance(node, kinds) for node in tree.body):
        return []
    return [
        namespace[node.name]
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not inspect.signature(namespace[node.name]).parameters
    ]


async def main() -> None:
    """Run the example where it may await."""
    ws = None
    if needs_connection:
        ws = namespace["ws"] = await connect(url)
        # Fragments that only receive need something to receive.
        await ws.send("from the runner")
    running = eval(code, namespace)
    if running is not None:
        await running
    for function in functions_to_call():
        result = function()
        if inspect.isawaitable(result):
            await result
    if ws is not None:
        await ws.close()


top_level_await = bool(code.co_flags & inspect.CO_COROUTINE)
if asynchronous and (top_level_await or needs_connection or "asyncio" not in imported):
    asyncio.run(main())
else:
    if needs_connection:
        namespace["ws"] = connect(url)
        namespace["ws"].send("from the runner")
    exec(code, namespace)
    for function in functions_to_call():
        function()
