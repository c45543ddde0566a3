"""A process that records as fast as it can, and tells on stdout what was acknowledged; to be killed."""

import asyncio
import resource
import sys
from pathlib import Path

from hoopguard.recorder.commit import Recorder
from hoopguard.recorder.errors import RecordError
from hoopguard.recorder.journal import Settings
from hoopguard.recorder.segments import SessionKey


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def work(recorder: Recorder, worker: int, run: str) -> None:
    key = SessionKey(f"p{worker}", "llama", "s", f"caller{worker}")
    number = 0
    while True:
        name = f"hg-{run}-{worker}-{number}"
        number += 1
        await recorder.intent(name, {"n": number})
        tell(f"intent {name}")
        await recorder.outcome(name, {"outcome": "allowed"}, key, b"%d:%s," % (3000, b"x" * 3000))
        tell(f"outcome {name}")


async def fill(recorder: Recorder, limit: int) -> None:
    """Record until no file may grow, then let them grow again, and go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    failures = number = 0
    while failures < 3:
        number += 1
        try:
            await recorder.refusal(f"hg-{number}", {}, {}, SessionKey("p", "c", "s"), b"y" * 1500)
            tell(f"outcome hg-{number}")
        except RecordError as error:
            failures += 1
            tell(f"failed {error}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await recorder.refusal("hg-last", {}, {}, SessionKey("p", "c", "s"), b"z" * 1500)
    await recorder.close()


async def main(state: str, durability: str, run: str, limit: str) -> None:
    settings = Settings("fsync" if durability == "fsync" else "flush", segment_bytes=100_000)
    recorder = Recorder.open(Path(state), settings, lambda: 1_795_361_400.0, {"run": run})
    tell("open")
    if int(limit):
        await fill(recorder, int(limit))
    else:
        await asyncio.gather(*(work(recorder, worker, run) for worker in range(6)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
