"""A live conversation through the gateway is what it is at the model, but for what must not be seen."""

import json
import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from fake_realtime import PLACE
from harness import DEADLINE_S, wait_for
from openai import DefaultHttpxClient, OpenAI
from openai.types.realtime import RealtimeServerEvent
from realtimesite import EMAIL, RealtimeSite, told
from websockets.sync.server import ServerConnection

TEXTS = [
    f"Write to {EMAIL} now.",
    "4111 1111 1111 1111 and 4111111111111111, or 4111-1111-1111-1111; not 4111 1111 1111 1112.",
    "Nothing to hide here, in twelve words or so, at all, really.",
    "ends with half an address: grace.hopper@exam",
    "ends with a whole one: grace.hopper@example.com",
    "Ünïcödé 😀 mail: jürgen.müller@example.de, 你好 ada@example.com 世界",
]


@pytest.fixture(scope="module")
def _realtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeSite]:
    with RealtimeSite(tmp_path_factory.mktemp("realtime")) as site:
        yield site.start_realtime()
        site.stop()
        site.assert_books_balance()
        site.verify()
        site.assert_nothing_has(EMAIL)


@pytest.fixture
def site(_realtime: RealtimeSite) -> RealtimeSite:
    _realtime.realtime.forget()
    return _realtime


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_deltas_say_what_the_masked_whole_says(site: RealtimeSite, text: str, size: int) -> None:
    """However a text is cut, its deltas say what its ``done`` event says, and that is masked."""
    site.realtime.act = lambda ws, event: site.realtime.tell(ws, text, size)
    with site.talk() as caller:
        caller.send("response.create")
        events = caller.hear_until("response.done")
    (whole,) = [event["text"] for event in events if event["type"] == "response.output_text.done"]
    assert told(events) == whole
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == whole
    assert "lovelace@" not in whole
    assert "4111 1111 1111 1111" not in whole
    kinds = [event["type"] for event in events]
    assert kinds[-3:] == ["response.output_text.done", "response.output_item.done", "response.done"]
    assert "response.output_text.delta" not in kinds[kinds.index("response.output_text.done") :]


def test_words_arrive_while_the_model_is_still_talking(site: RealtimeSite) -> None:
    """What is masked is with the caller while the model has not said its last: here it never does."""

    def begin(ws: ServerConnection, event: dict[str, Any]) -> bool:
        for piece in ("Write to ", EMAIL, " now, and", " then"):
            site.realtime.say(ws, "response.output_text.delta", **PLACE, delta=piece)
        return True

    site.realtime.act = begin
    with site.talk() as caller:
        caller.send("response.create")
        heard: list[dict[str, Any]] = []
        while "now," not in told(heard):
            heard.append(caller.hear())
        assert told(heard).startswith("Write to <EMAIL_ADDRESS> now,")


def test_a_conversation_goes_on_and_on(site: RealtimeSite) -> None:
    """A text that has ended may begin again under the same name, as it does where a server numbers nothing."""

    def transcribe(ws: ServerConnection, event: dict[str, Any]) -> bool:
        for piece in ("to bob@exa", "mple.com a", "gain"):
            site.realtime.say(ws, "transcription.delta", delta=piece)
        site.realtime.say(ws, "transcription.done", text="to bob@example.com again", usage={"total_tokens": 3})
        return True

    site.realtime.act = transcribe
    with site.talk() as caller:
        for _ in range(3):
            caller.send("input_audio_buffer.commit", final=True)
            *deltas, done = caller.hear_until("transcription.done")
            assert "".join(event["delta"] for event in deltas) == done["text"] == "to <EMAIL_ADDRESS> again"
        assert [event["final"] for event in site.realtime.events("input_audio_buffer.commit")] == [True] * 3


def test_tool_calls_are_masked_both_ways(site: RealtimeSite) -> None:
    """Arguments stay JSON, in pieces and whole; what a tool returned is masked like anything that is sent."""
    arguments = json.dumps({"to": EMAIL, "n": 3})

    def call(ws: ServerConnection, event: dict[str, Any]) -> bool:
        for piece in arguments:
            site.realtime.say(ws, "response.function_call_arguments.delta", **PLACE, call_id="call_1", delta=piece)
        site.realtime.say(
            ws, "response.function_call_arguments.done", **PLACE, call_id="call_1", name="mail", arguments=arguments
        )
        return True

    site.realtime.act = call
    with site.talk() as caller:
        output = {"type": "function_call_output", "call_id": "call_1", "output": f"sent to {EMAIL}"}
        caller.send("conversation.item.create", item=output)
        *deltas, done = caller.hear_until("response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"to": "<EMAIL_ADDRESS>", "n": 3}
    assert json.loads("".join(event["delta"] for event in deltas)) == {"to": "<EMAIL_ADDRESS>", "n": 3}
    assert site.realtime.heard[0]["item"]["output"] == "sent to <EMAIL_ADDRESS>"


def test_the_model_may_be_named_in_the_session(site: RealtimeSite) -> None:
    """As vLLM's clients do: no query, the model in the first event; before it nothing else passes."""
    with site.talk(path="/v1/realtime") as caller:
        caller.send("session.update", model="llama-3-8b", session={"instructions": f"answer {EMAIL}"})
        assert caller.hear()["session"]["instructions"] == "answer <EMAIL_ADDRESS>"
    assert site.realtime.paths == ["/v1/realtime"]
    assert site.outcome(caller.exchange)["model"] == "llama-3-8b"
    with site.talk(path="/v1/realtime") as caller:
        caller.say("hello")
        caller.assert_ended("hoopguard_bad_body", 1007)
    assert site.realtime.events("conversation.item.create") == []


def test_speech_passes_if_a_rule_lets_it_and_is_not_recorded(site: RealtimeSite) -> None:
    """Base64 is never read as text; transcripts beside it are masked; the recording only counts it."""
    speech = "QWxhbiBUdXJpbmc0MTExMTExMTExMTExMTEx" * 8

    def speak(ws: ServerConnection, event: dict[str, Any]) -> bool:
        site.realtime.say(ws, "response.output_audio.delta", **PLACE, delta=speech)
        site.realtime.say(ws, "response.output_audio_transcript.delta", **PLACE, delta=f"I am {EMAIL} ")
        site.realtime.say(ws, "response.output_audio_transcript.done", **PLACE, transcript=f"I am {EMAIL} ")
        return True

    site.realtime.act = speak
    with site.talk() as caller:
        caller.send("input_audio_buffer.append", audio=speech)
        events = caller.hear_until("response.output_audio_transcript.done")
    assert site.realtime.heard[0]["audio"] == speech
    assert events[0]["delta"] == speech
    assert events[-1]["transcript"] == "I am <EMAIL_ADDRESS> "
    flow = site.recorded(caller.exchange)
    assert flow.metadata["hoopguard"]["unrecorded_audio"] == {"request": 1, "response": 1}
    assert flow.metadata["hoopguard"]["verdicts"] == [{"rule": "speech", "action": "flag", "observed": False}]
    assert flow.websocket is not None
    assert not any(speech.encode() in message.content for message in flow.websocket.messages)


def test_the_recording_is_the_conversation_as_it_went_on(site: RealtimeSite) -> None:
    """The tools of mitmproxy read it: the messages of both sides, masked, and who said what."""
    with site.talk() as caller:
        caller.say(f"write to {EMAIL}")
        added = caller.hear()
    flow = site.recorded(caller.exchange)
    assert flow.websocket is not None
    said = [(message.from_client, json.loads(message.content)) for message in flow.websocket.messages]
    assert [from_caller for from_caller, _ in said] == [False, True, False]
    assert said[1][1]["item"]["content"][0]["text"] == "write to <EMAIL_ADDRESS>"
    assert said[2][1] == added
    assert (flow.websocket.closed_by_client, flow.websocket.close_code) == (True, 1000)
    assert flow.response is not None
    assert flow.response.status_code == 101
    facts = flow.metadata["hoopguard"]
    assert facts["messages"] == {"request": 1, "response": 2}
    assert facts["masked"] == {"request": {"EMAIL_ADDRESS": 1}, "response": {}}
    assert (facts["outcome"], facts["route"], facts["model"]) == ("allowed", "realtime", "llama-3-8b")


def test_an_auditor_reads_the_conversation_on_the_command_line(site: RealtimeSite) -> None:
    """Both sides in their order, masked as they were recorded, for people and for scripts."""
    with site.talk(token=site.token("reader@example.com")) as caller:
        caller.say(f"write to {EMAIL}\x1b[2J")
        caller.send("response.create")
        caller.hear_until("response.done")
    site.outcome(caller.exchange)
    shown = site.hoopguard("sessions", "show", "reader@example.com")
    assert shown.returncode == 0, shown.stderr
    assert "\n[caller] write to <EMAIL_ADDRESS>\\x1b[2J\n" in shown.stdout
    assert "\n[model] write to <EMAIL_ADDRESS>\\x1b[2J\n" in shown.stdout
    as_json = json.loads(site.hoopguard("sessions", "show", "reader@example.com", "--json").stdout)
    (transcript,) = as_json["transcript"]
    said = [(message["by"], json.loads(message["text"])["type"]) for message in transcript["messages"]]
    assert said[1] == ("caller", "conversation.item.create")
    assert said[-1] == ("model", "response.done")
    assert EMAIL not in shown.stdout + json.dumps(as_json)


def test_a_caller_who_vanishes_has_cancelled(site: RealtimeSite) -> None:
    """A connection that ends without a goodbye is recorded as that."""
    with site.talk() as caller:
        caller.say("hello")
        caller.hear()
        sock = caller.ws.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
        assert site.outcome(caller.exchange)["outcome"] == "cancelled"


def test_the_openai_package_talks_through_the_gateway(site: RealtimeSite) -> None:
    """Its realtime client works as anybody would set it up, and its own types read every event."""
    http_client = DefaultHttpxClient(trust_env=False, timeout=DEADLINE_S)
    client = OpenAI(base_url=f"{site.url}/v1", api_key=site.token(), http_client=http_client)
    events: list[RealtimeServerEvent] = []
    with client.realtime.connect(model="llama-3-8b") as connection:
        connection.session.update(session={"type": "realtime", "instructions": f"I am {EMAIL}"})
        content: Any = [{"type": "input_text", "text": f"Write to {EMAIL}, please."}]
        connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        connection.response.create()
        for event in connection:
            events.append(event)
            if event.type == "response.done":
                break
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    (done,) = [event for event in events if event.type == "response.output_text.done"]
    assert deltas == done.text == "Write to <EMAIL_ADDRESS>, please."
    assert site.realtime.heard[0]["session"]["instructions"] == "I am <EMAIL_ADDRESS>"


def test_a_gateway_that_stops_leaves_no_conversation_without_an_outcome(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """One that is told to stop, or killed, settles each conversation once: at the end, or at the next start."""
    with RealtimeSite(tmp_path_factory.mktemp("stopping")) as own:
        for number in (signal.SIGTERM, signal.SIGKILL):
            own.start_realtime()
            with own.talk() as caller:
                caller.say("hello")
                caller.hear()
                assert own.running.process is not None
                own.running.process.send_signal(number)
                own.running.process.wait(DEADLINE_S)
        own.start_realtime()
        wait_for(lambda: own.outcome(caller.exchange), "the outcome")
        own.stop()
        own.assert_books_balance()
        own.verify()
