"""``addons.py`` that counts, when it gets SIGUSR1, what of conversations is still in memory, into ``HG_E2E_COUNTS``."""

import asyncio
import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from mitmproxy.addonmanager import Loader
from mitmproxy.http import HTTPFlow

from hoopguard.conversation import Conversation
from hoopguard.conversation_layer import ConversationLayer
from hoopguard.exchange import Exchange
from hoopguard.gateway import install

COUNTED = (Conversation, ConversationLayer, Exchange, HTTPFlow)


def load(loader: Loader) -> None:
    """Install the gateway, and listen to the signal."""
    install(loader.master)
    signal.signal(signal.SIGUSR1, _count)


def _count(*_: Any) -> None:
    gc.collect()
    found = Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, COUNTED))
    found["alarms"] = sum(task.get_name().startswith("wakeup timer") for task in asyncio.all_tasks())
    file = Path(os.environ["HG_E2E_COUNTS"])
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({name: count for name, count in found.items() if count}))
    draft.replace(file)
