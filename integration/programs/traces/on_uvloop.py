"""Runs another program on uvloop: PROGRAM WORDS."""

from __future__ import annotations

import asyncio
import runpy
import sys
import warnings

import uvloop

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
