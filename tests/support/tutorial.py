"""conf/tutorial.md as a page to run."""
import os
import sys

import pages
import services

PAGE = os.path.join("conf", "tutorial.md")
CRM = "8. A row in a CRM"
CONSOLE = os.path.join(pages.ROOT, "tests", "support", "console")


def run(broker, more=None):
    """On this broker; `more`: other places of the page, and what is there."""
    replace = {"localhost:9092": broker, "127.0.0.1:8090": f"127.0.0.1:{services.free_port()}",
               "product-events": "tutorial.events", **(more or {})}
    return pages.Run(PAGE, os.environ["PQL_TEST_BINARY"], replace, path=[CONSOLE, os.path.dirname(sys.executable)])
