"""Processes of their own that start at once: they are forked from a server, which has loaded all libraries.

A child is as a process that has just imported them: of what the tests computed or changed it has nothing.
"""

import multiprocessing

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.core.together", "tests.core.small", "accelerate", "torch.distributed"])
