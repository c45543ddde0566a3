"""Act four: a CI job that knows nothing of hoopguard but HTTPS_PROXY and a CA."""

import json
import subprocess
import sys
from typing import Final

from hoopguard.demo import answers, cast
from hoopguard.demo.installation import HOOPGUARD
from hoopguard.demo.stage import Stage, chat
from hoopguard.demo.story import Act, Seen

ACT: Final = Act("A CI job, with nothing but HTTPS_PROXY and the CA in its environment")

HOST: Final = "llama.models.example.com"
_URL: Final = f"https://{HOST}/v1/chat/completions"
_WITH_CA: Final = 'eval "$("$0" certs env)"; exec "$@"'
_OPENAI: Final = """\
import sys, openai
sdk = openai.OpenAI(base_url=sys.argv[1], api_key="not needed: the proxy's password is the token")
try:
    answer = sdk.chat.completions.create(model=sys.argv[2], messages=[{"role": "user", "content": sys.argv[3]}])
except openai.APIStatusError as error:
    sys.exit(f"{type(error).__name__} {error.status_code}: {error.body['message']}")
print(answer.choices[0].message.content)
"""


def _job(stage: Stage, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the job would: ``eval "$(hoopguard certs env)"``, and the proxy."""
    proxy = f"http://token:{cast.job(stage)}@{stage.forward}"
    policy = str(stage.installation.policy)
    return stage.run("sh", "-c", _WITH_CA, HOOPGUARD, *command, HTTPS_PROXY=proxy, HOOPGUARD_POLICY=policy)


def _python(stage: Stage, model: str) -> subprocess.CompletedProcess[str]:
    return _job(stage, sys.executable, "-c", _OPENAI, f"https://{HOST}/v1", model, "Who is the customer?")


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-600:]}"


def _no_personal_data(text: str) -> dict[str, bool]:
    raw = (answers.CUSTOMER_EMAIL, answers.CUSTOMER_PHONE, answers.CUSTOMER_CARD)
    return {"the answer is masked": "<EMAIL_ADDRESS>" in text and not any(value in text for value in raw)}


@ACT.step(f"curl {_URL}", expected="TLS to the host by its name, a masked answer")
def with_curl(stage: Stage) -> Seen:
    """Check the forward proxy with curl."""
    question = chat("Who is the customer?")
    done = _job(stage, "curl", "-sS", "--fail-with-body", _URL, "-H", "content-type: application/json", "-d", question)
    said = json.loads(done.stdout)["choices"][0]["message"]["content"] if done.returncode == 0 else _tail(done)
    return Seen(f"“{said}”", {"exit 0": done.returncode == 0, **_no_personal_data(said)})


@ACT.step(f"the OpenAI SDK with base_url https://{HOST}/v1, unchanged", expected="a masked answer")
def with_python(stage: Stage) -> Seen:
    """Check the forward proxy with Python."""
    done = _python(stage, "llama-3-8b")
    text = f"“{done.stdout.strip()}”" if done.returncode == 0 else _tail(done)
    return Seen(text, {"exit 0": done.returncode == 0, **_no_personal_data(done.stdout)})


@ACT.step("the job asks the large model, which is for people only", expected="403: PermissionDeniedError")
def not_for_jobs(stage: Stage) -> Seen:
    """Check that a service has its own permissions."""
    done = _python(stage, "llama-3-70b")
    checks = {"it failed": done.returncode != 0, "a 403 for the SDK": "PermissionDeniedError 403" in done.stderr}
    return Seen(_tail(done), checks)


@ACT.step(
    "curl https://elsewhere.example.com through the same proxy", expected="403: no tunnel to a host that is not listed"
)
def elsewhere(stage: Stage) -> Seen:
    """Check that the proxy leads to model servers only."""
    done = _job(stage, "curl", "-sS", "https://elsewhere.example.com/")
    checks = {"it failed": done.returncode != 0, "CONNECT was answered with 403": "403" in done.stderr}
    return Seen(_tail(done), checks)
