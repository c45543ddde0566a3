"""policy.toml: what it may say, and how it says no."""

import pickle
import re
import traceback
from pathlib import Path

import pytest
from policies import GOOD, SECRET, spoiled, written

from hoopguard.policy import LoadedPolicy, PolicyError, load_policy

ROOT = Path(__file__).parents[2]
NAMED = 'name = "llama"'
AUDIENCE = 'audience = "hoopguard"'
ALLOW = 'allow = [{ groups = ["ml"] }]'
UPSTREAM = 'upstream = "http://127.0.0.1:8000"'
HOSTS = 'hosts = ["llama.example.com"]'
WORDS = 'words = ["tropical"]\naction = "block"'
REVIEWERS = 'reviewers = ["owners"]'
ENTITIES = 'entities = ["pack:pii", "BADGE"]'
STATE = 'state = "var"'


def refusal(folder: Path, text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy(written(folder, text))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in shown
    assert str(caught.value).startswith(str(folder / "policy.toml"))
    return caught.value


def test_the_shipped_policy_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the repository is good once the secrets that it names are there."""
    text = (ROOT / "policy.toml").read_text()
    for kind, name in re.findall(r"\$\{(env|file):([^}]+)\}", text):
        monkeypatch.setenv(name, "x" * 32)
        if kind == "file":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x" * 32)
            (tmp_path / name).chmod(0o600)
    assert load_policy(written(tmp_path, text)).policy.connections
    assert load_policy(ROOT / "policy.toml", secrets=False).policy.connections


def test_a_good_policy_loads_and_knows_its_folder(tmp_path: Path) -> None:
    """Defaults are filled in; state and certs stand beside the file."""
    loaded = load_policy(written(tmp_path))
    assert loaded.state == tmp_path / "var"
    assert loaded.certs == tmp_path / "certs"
    assert len(loaded.digest) == 64
    assert loaded.policy.issuers[0].audience == ("hoopguard",)
    assert loaded.policy.approvals[0].grant == "once"


def test_equal_bytes_are_equal_policies(tmp_path: Path) -> None:
    """A policy is known by its digest."""
    first, again = load_policy(written(tmp_path)), load_policy(written(tmp_path))
    other = load_policy(written(tmp_path, GOOD + "\n"))
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert first != "policy"


UNKNOWN = [
    ('[gateway]\nstate = "var"', '[gateway]\nsecret = "SECRET"', "gateway · secret", "[gateway]"),
    ("version = 1", 'version = 1\nkey = "SECRET"', "key", "top level"),
    (AUDIENCE, f'{AUDIENCE}\nclient_secret = "SECRET"', 'issuer "staff" · client_secret', "[issuer]"),
    (UPSTREAM, f'{UPSTREAM}\napi_key = "SECRET"', 'connection "llama" · api_key', "[connection]"),
    (ALLOW, 'allow = [{ group = "SECRET" }]', 'connection "llama" · allow[0] · group', "[connection.allow]"),
    (WORDS, f'{WORDS}\nwrods = "SECRET"', 'guardrail "codenames" · wrods', "[guardrail]"),
    (
        WORDS,
        f'{WORDS}\nunless = {{ group = "SECRET" }}',
        'guardrail "codenames" · unless · group',
        "[guardrail.unless]",
    ),
    (REVIEWERS, f'{REVIEWERS}\ntoken = "SECRET"', 'approval "owners" · token', "[approval]"),
    (ENTITIES, f'{ENTITIES}\nkey = "SECRET"', 'mask "personal" · key', "[mask]"),
    ('deny_list = ["B-1"]', 'deny_list = ["B-1"]\nlist = "SECRET"', 'recogniser "badge" · list', "[recogniser]"),
    ('content = "masked"', 'key = "SECRET"', "record · key", "[record]"),
    ('{ hash = { key = "', '{ key = "SECRET", hash = { key = "', 'mask "personal" · operator · key', "[mask.operator]"),
    ('{ value = "Bearer', '{ key = "SECRET", value = "Bearer', 'connection "llama" · credential · key', "credential"),
    (AUDIENCE, f'{AUDIENCE}\nleeway_s = "5s"', 'issuer "staff" · leeway_s', "unknown key"),
    (
        'name = "staff"',
        'name = "staff"\nclaims = { sub = "SECRET" }',
        'issuer "staff" · claims · sub',
        "[issuer.claims]",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "expected"), UNKNOWN, ids=[each[2] for each in UNKNOWN])
def test_an_unknown_key_is_named_and_its_value_never_shown(
    tmp_path: Path, old: str, new: str, key: str, expected: str
) -> None:
    """At every level; a secret under a misspelt key stays one."""
    error = refusal(tmp_path, spoiled(old, new.replace("SECRET", SECRET)))
    assert error.key == key
    assert error.value is None
    assert "unknown key" in error.expected
    assert expected in error.expected


WRONG = [
    # what is wrong · key · value shown · part of what was expected
    ("version = 1", "version = 2", "version", "2", "input should be 1"),
    ("version = 1", "", "version", None, "required"),
    ("version = 1", 'version = "1"', "version", "'1'", "input should be 1"),
    (STATE, 'mode = "enforced"', "gateway · mode", "'enforced'", "'enforce' or 'observe'"),
    (STATE, 'max_body_bytes = "10 MB"', "gateway · max_body_bytes", "'10 MB'", "expected a size"),
    (STATE, "max_body_bytes = 10", "gateway · max_body_bytes", "10", "expected a size"),
    (STATE, 'max_body_bytes = "0MB"', "gateway · max_body_bytes", "'0MB'", "more than nothing"),
    (STATE, 'max_body_bytes = "١MB"', "gateway · max_body_bytes", "'١MB'", "expected a size"),
    (STATE, "max_held_chars = 1", "gateway · max_held_chars", "1", "greater than or equal to 256"),
    (STATE, "max_held_chars = true", "gateway · max_held_chars", "true", "valid integer"),
    (STATE, "state = 5", "gateway · state", "5", "valid string"),
    (STATE, 'unlisted_hosts = "allow"', "gateway · unlisted_hosts", "'allow'", "'deny'"),
    ('name = "staff"', 'name = "Staff"', "issuer", "'Staff'", "match pattern"),
    ('name = "staff"', 'name = "a/b"', "issuer", "'a/b'", "match pattern"),
    ('name = "staff"', r'name = "a\n"', "issuer", r"'a\n'", "match pattern"),
    (AUDIENCE, "", 'issuer "staff" · audience', None, "required"),
    (AUDIENCE, "audience = []", 'issuer "staff" · audience', None, "at least one audience"),
    (AUDIENCE, 'audience = ["a", ""]', 'issuer "staff" · audience', None, "none of them empty"),
    (AUDIENCE, f'{AUDIENCE}\nalgorithms = ["HS256"]', 'issuer "staff" · algorithms[0]', "'HS256'", "'RS256'"),
    (AUDIENCE, f'{AUDIENCE}\nalgorithms = ["none"]', 'issuer "staff" · algorithms[0]', "'none'", "'RS256'"),
    (AUDIENCE, f'{AUDIENCE}\nleeway = "6m"', 'issuer "staff" · leeway', "'6m'", "less than or equal to 300"),
    (AUDIENCE, f'{AUDIENCE}\nleeway = "-1s"', 'issuer "staff" · leeway', "'-1s'", "expected a duration"),
    (AUDIENCE, f"{AUDIENCE}\nleeway = 30", 'issuer "staff" · leeway', "30", "expected a duration"),
    (AUDIENCE, f"{AUDIENCE}\nrequire = {{ a = true }}", 'issuer "staff" · require · a', "true", "valid string"),
    (AUDIENCE, f'{AUDIENCE}\nca = "none.pem"', 'issuer "staff" · ca', "'none.pem'", "readable file at"),
    (AUDIENCE, f'{AUDIENCE}\nca = "policy.toml"', 'issuer "staff" · ca', "'policy.toml'", "PEM certificates"),
    (AUDIENCE, f'{AUDIENCE}\njwks_url = "http://keys.example"', 'issuer "staff" · jwks_url', "'http://k", "https://"),
    ("https://id.example.com", "http://id.example.com", 'issuer "staff" · url', "'http://id", "expected https://"),
    ("https://id.example.com", "http://127.0.0.1.evil.example", 'issuer "staff" · url', "'http", "expected https://"),
    ("https://id.example.com", "https://", 'issuer "staff" · url', "'https://'", "names a host"),
    ("https://id.example.com", "https://id.example.com:0", 'issuer "staff" · url', "'https://id", "names a host"),
    ("https://id.example.com", "https://id.example.com:99999", 'issuer "staff" · url', "'https://id", "expected a URL"),
    ("https://id.example.com", "https://[::1", 'issuer "staff" · url', "'https://[::1'", "expected a URL"),
    ("https://id.example.com", "ftp://id.example.com", 'issuer "staff" · url', "'ftp", "http:// or https://"),
    ("https://id.example.com", "https://id.example .com", 'issuer "staff" · url', "'https", "without spaces"),
    ("https://id.example.com", r"https://id.example\n.com", 'issuer "staff" · url', "'https", "control characters"),
    ("https://id.example.com", "https://íd.example.com", 'issuer "staff" · url', "'https", "beyond ASCII"),
    (UPSTREAM, 'upstream = "llama:8000"', 'connection "llama" · upstream', "'llama:8000'", "expected a URL"),
    (HOSTS, 'hosts = ["Llama.example.com"]', 'connection "llama" · hosts', None, "lower-case host name"),
    (HOSTS, 'hosts = ["a.example:443"]', 'connection "llama" · hosts', None, "without port"),
    (HOSTS, 'hosts = ["*.example.com"]', 'connection "llama" · hosts', None, "host name"),
    (HOSTS, r'hosts = ["a.example\n"]', 'connection "llama" · hosts', None, "host name"),
    (HOSTS, 'hosts = ["a", "a"]', "", None, "'a' is named twice"),
    (HOSTS, f"{HOSTS}\nroutes = []", 'connection "llama" · routes', None, "at least 1 item"),
    (HOSTS, f'{HOSTS}\nroutes = ["horoscopes"]', 'connection "llama" · routes', None, '"POST /path"'),
    (HOSTS, f'{HOSTS}\nroutes = ["DELETE /v1/x"]', 'connection "llama" · routes', None, '"POST /path"'),
    (HOSTS, f'{HOSTS}\nroutes = ["POST /v1/x?y"]', 'connection "llama" · routes', None, '"POST /path"'),
    (HOSTS, f'{HOSTS}\nroutes = ["POST /v1/completions"]', 'connection "llama" · routes', None, "by its name"),
    (HOSTS, f'{HOSTS}\nroutes = ["POST /v1/chat/completions"]', 'connection "llama" · routes', None, "by its name"),
    (HOSTS, f'{HOSTS}\nanswer_timeout = "0s"', 'connection "llama" · answer_timeout', "'0s'", "greater than 0"),
    (HOSTS, f'{HOSTS}\nanswer_timeout = "11000d"', 'connection "llama" · answer_timeout', "'11000d'", "ten years"),
    (HOSTS, f'{HOSTS}\nca = "/"', 'connection "llama" · ca', "'/'", "readable file at"),
    (ALLOW, "", 'connection "llama" · allow', None, "required"),
    (ALLOW, "allow = []", 'connection "llama" · allow', None, "at least 1 item"),
    (ALLOW, "allow = [{}]", 'connection "llama" · allow[0]', None, "groups or subjects"),
    (ALLOW, 'allow = [{ groups = [""] }]', 'connection "llama" · allow[0] · groups[0]', "''", "at least 1 character"),
    (ALLOW, 'allow = [{ groups = ["m*"] }]', 'connection "llama" · allow[0]', None, "whole names of groups"),
    (ALLOW, 'allow = [{ groups = "ml" }]', 'connection "llama" · allow[0] · groups', "'ml'", "valid tuple"),
    (ALLOW, 'allow = [{ groups = ["m"], models = [] }]', 'connection "llama" · allow[0] · models', None, "at least 1"),
    (ALLOW, 'allow = [{ groups = ["m"], routes = [] }]', 'connection "llama" · allow[0] · routes', None, "at least 1"),
    (ALLOW, 'allow = [{ groups = ["m"], routes = ["x"] }]', 'connection "llama"', None, "names 'x'"),
    (WORDS, 'action = "block"', 'guardrail "codenames"', None, "can never match"),
    (WORDS, 'words = ["x"]', 'guardrail "codenames" · action', None, "required"),
    (WORDS, 'words = [" "]\naction = "flag"', 'guardrail "codenames" · words[0]', "' '", "match pattern"),
    (WORDS, 'words = ["\u200b"]\naction = "flag"', 'guardrail "codenames" · words[0]', "'\\u200b'", "match pattern"),
    (WORDS, f'words = ["{"x" * 201}"]\naction = "flag"', 'guardrail "codenames" · words[0]', "'xxx", "at most 200"),
    (WORDS, f'{WORDS}\nconnections = ["gpt"]', "", None, "connection 'gpt', which does not exist"),
    (WORDS, 'words = ["x"]\naction = "approve"', 'guardrail "codenames"', None, 'approval = "name"'),
    (WORDS, f'{WORDS}\napproval = "owners"', 'guardrail "codenames"', None, 'approval = "name"'),
    (WORDS, 'words = ["x"]\naction = "approve"\napproval = "x"', "", None, "names no existing [[approval]]: 'x'"),
    (
        WORDS,
        'words = ["x"]\naction = "approve"\napproval = "owners"\non = "both"',
        'guardrail "codenames"',
        None,
        "answers cannot wait",
    ),
    (WORDS, f'{WORDS}\nunless = {{ groups = ["*"] }}', 'guardrail "codenames" · unless · groups', None, "whole names"),
    (REVIEWERS, "", 'approval "owners"', None, "nobody could decide"),
    (REVIEWERS, f"{REVIEWERS}\nquorum = 0", 'approval "owners" · quorum', "0", "greater than or equal to 1"),
    (REVIEWERS, f"{REVIEWERS}\nquorum = 1.0", 'approval "owners" · quorum', "1.0", "valid integer"),
    (REVIEWERS, f'{REVIEWERS}\nhold = "2h"', 'approval "owners" · hold', "'2h'", "less than or equal to 3600"),
    (REVIEWERS, f'{REVIEWERS}\nexpires = "0m"', 'approval "owners" · expires', "'0m'", "greater than 0"),
    (REVIEWERS, f'{REVIEWERS}\ngrant = "twice"', 'approval "owners" · grant', "'twice'", "expected a duration"),
    (REVIEWERS, f'{REVIEWERS}\ngrant = "0s"', 'approval "owners" · grant', "'0s'", "can be used"),
    (ENTITIES, "entities = []", 'mask "personal" · entities', None, "at least 1 item"),
    (ENTITIES, 'entities = ["pack:all"]', 'mask "personal"', None, "pack out of pack:health, pack:pci, pack:pii"),
    (ENTITIES, 'entities = ["A", "-A"]', 'mask "personal"', None, "can never match"),
    (ENTITIES, 'entities = ["pack:pii", "-EMIAL"]', 'mask "personal"', None, "take away an entity named before"),
    (ENTITIES, 'entities = ["-CRYPTO", "pack:pii"]', 'mask "personal"', None, "take away an entity named before"),
    (ENTITIES, f"{ENTITIES}\nthreshold = nan", 'mask "personal" · threshold', "nan", "less than or equal to 1"),
    (ENTITIES, f"{ENTITIES}\nthreshold = 1.1", 'mask "personal" · threshold', "1.1", "less than or equal to 1"),
    (ENTITIES, f'{ENTITIES}\non = "answer"', 'mask "personal" · on', "'answer'", "'request', 'response' or 'both'"),
    ('deny_list = ["B-1"]', "", 'recogniser "badge"', None, "can never match"),
    ('entity = "BADGE"', 'entity = "badge"', 'recogniser "badge" · entity', "'badge'", "match pattern"),
    ('content = "masked"', 'content = "all"', "record · content", "'all'", "'masked' or 'none'"),
    ('content = "masked"', 'durability = "none"', "record · durability", "'none'", "'fsync' or 'flush'"),
    ('content = "masked"', 'segment_bytes = "0B"', "record · segment_bytes", "'0B'", "more than nothing"),
]


@pytest.mark.parametrize(("old", "new", "key", "value", "expected"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_named_with_key_value_and_expectation(
    tmp_path: Path, old: str, new: str, key: str, value: str | None, expected: str
) -> None:
    """Each mistake is one error that an operator can act on."""
    error = refusal(tmp_path, spoiled(old, new))
    assert error.key.startswith(key) if key == "issuer" else error.key == key
    assert (error.value or "").startswith(value or "")
    assert (error.value is None) is (value is None)
    assert expected in error.expected


@pytest.mark.parametrize("table", ["issuer", "connection", "guardrail", "approval", "recogniser", "mask"])
def test_two_tables_of_one_name_are_refused(tmp_path: Path, table: str) -> None:
    """Names are how everything else speaks of a table."""
    start = GOOD.index(f"[[{table}]]")
    end = GOOD.find("\n[", start)
    again = GOOD[start:end].replace('hosts = ["llama.example.com"]', "")
    error = refusal(tmp_path, GOOD + again)
    assert "names have to be unique" in str(error)
    assert f"[[{table}]]" in str(error)


def test_two_issuers_with_one_url_are_refused(tmp_path: Path) -> None:
    """A token could be read two ways."""
    again = '[[issuer]]\nname = "other"\nurl = "https://id.example.com"\naudience = "x"\n'
    assert "read two ways" in str(refusal(tmp_path, GOOD + again))


@pytest.mark.parametrize(
    "value",
    ["https://ada:SECRET@id.example.com", "https://id.example.com/?key=SECRET", "https://id.example.com/#SECRET"],
)
def test_a_secret_in_a_url_is_refused_and_not_shown(tmp_path: Path, value: str) -> None:
    """User, password, query and fragment have no place there, and do not get into the log."""
    error = refusal(tmp_path, spoiled("https://id.example.com", value.replace("SECRET", SECRET)))
    assert error.expected == "expected a URL without user, query or fragment"
    assert "id.example.com" in str(error)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(", "missing )"),
        ("(?=x)", "RE2 accepts"),
        (r"(a)\\1", "RE2 accepts"),
        ("a{1001}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (r"(\\pL{100}){10}", "too large"),
        ("x*", "matches the empty text"),
        ("a|", "matches the empty text"),
        ("^", "matches the empty text"),
        ("$", "matches the empty text"),
        (r"\\b", "matches the empty text"),
        (r"\\B", "matches the empty text"),
        ("(?m)^$", "matches the empty text"),
        ("", "matches the empty text"),
        ("é(", "missing )"),
    ],
)
@pytest.mark.parametrize("table", ["guardrail", "recogniser"])
def test_a_pattern_that_re2_refuses_or_that_says_nothing_is_refused(
    tmp_path: Path, table: str, pattern: str, expected: str
) -> None:
    """Whatever would match everywhere, not compile, or eat the memory, is named before traffic flows."""
    old = WORDS if table == "guardrail" else 'deny_list = ["B-1"]'
    error = refusal(tmp_path, spoiled(old, f'patterns = ["ok", "{pattern}"]\n{old}'))
    assert error.key.endswith("patterns[1]")
    assert expected in error.expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "this key is required"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbfversion = 1", "expected TOML"),
        (b"version = ", "expected TOML"),
        (b"version = 1\nversion = 1", "expected TOML"),
        (b"a = " + b"[" * 100_000, "expected TOML"),
        (b"a = " + b"{b=" * 100_000, "expected TOML"),
        (b"a = " + b"9" * 5000, "expected TOML"),
        (b"#" * 1_000_001, "less than 1 MB"),
        (b"\x00", "expected TOML"),
        (b"version = 1979-05-27", "should be 1"),
        (b"version = 1\nissuer = 5\nconnection = []", "valid tuple"),
        (b"version = 1\nissuer = [5]", "valid dictionary"),
    ],
    ids=range(13),
)
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, raw: bytes, expected: str) -> None:
    """Whatever the bytes are, the answer is a PolicyError."""
    (tmp_path / "policy.toml").write_bytes(raw)
    with pytest.raises(PolicyError, match=expected):
        load_policy(tmp_path / "policy.toml")


@pytest.mark.parametrize("name", ["missing.toml", "missing/policy.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """A missing file, or a folder, is an operator's mistake like any other."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / name)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    """A megabyte is enough to say no."""
    with pytest.raises(PolicyError, match="less than 1 MB"):
        load_policy(Path("/dev/zero"))


def _credential(folder: Path, value: str) -> LoadedPolicy:
    return load_policy(written(folder, spoiled(f"Bearer {SECRET}", value)))


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both may stand inside a longer text; a file's own line break does not count."""
    monkeypatch.setenv("HG_TEST_KEY", "from-env")
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / "key").chmod(0o600)
    credential = _credential(tmp_path, "A ${env:HG_TEST_KEY} ${file:key}").policy.connections[0].credential
    assert credential is not None
    assert credential.value.reveal() == "A from-env from-file"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "expected a text"),
        ("${env:HG_UNSET}", "HG_UNSET to be set"),
        ("${env:HG_EMPTY}", "HG_EMPTY to be set"),
        ("${env:HG_LINES}", "without line breaks"),
        ("${file:missing}", "readable file"),
        ("${file:.}", "readable"),
        ("${file:open}", "chmod 600"),
        ("${file:empty}", "which is empty"),
        ("${file:binary}", "UTF-8"),
        ("${file:lines}", "without line breaks"),
        ("${file:huge}", "at most"),
        ("${file:/dev/zero}", "chmod 600"),
        ("${env:}", "means nothing"),
        ("${HG_LINES}", "means nothing"),
        ("${evn:HG_LINES}", "means nothing"),
        ("Bearer ${env:HOME", "means nothing"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: str
) -> None:
    """What is missing, empty, open to others or misspelt is named; nothing is sent to a model as it stands."""
    monkeypatch.setenv("HG_EMPTY", "")
    monkeypatch.setenv("HG_LINES", f"{SECRET}\r\nx-evil: 1")
    contents = {"open": b"x", "empty": b" \n", "binary": b"\xff", "lines": b"a\nb", "huge": b"x" * 70_000}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    error = refusal(tmp_path, spoiled(f"Bearer {SECRET}", value))
    assert error.key == 'connection "llama" · credential · value'
    assert error.value is None
    assert expected in error.expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('credential = { value = "', 'credential = { header = "X y", value = "'),
        (f'credential = {{ value = "Bearer {SECRET}" }}', f'credential = "{SECRET}"'),
        (f'credential = {{ value = "Bearer {SECRET}" }}', f'credential = {{ value = ["{SECRET}"] }}'),
        (f'{{ hash = {{ key = "{SECRET}" }} }}', f'{{ hash = "{SECRET}" }}'),
        (f'{{ hash = {{ key = "{SECRET}" }} }}', f'{{ hash = {{ key = "{SECRET[:15]}" }} }}'),
        (f'{{ hash = {{ key = "{SECRET}" }} }}', f'{{ hash = {{ key = "{SECRET}" }}, redact = true }}'),
        (f'{{ hash = {{ key = "{SECRET}" }} }}', f'{{ hash = {{ key = "{SECRET}", salt = "{SECRET}" }} }}'),
    ],
)
def test_a_mistake_beside_a_secret_does_not_show_it(tmp_path: Path, old: str, new: str) -> None:
    """Neither value, traceback nor repr of the error hold it."""
    error = refusal(tmp_path, spoiled(old, new))
    assert SECRET[:15] not in str(error)


@pytest.mark.parametrize(
    "operator",
    ['"hash"', '"encrypt"', "{}", "{ redact = false }", "{ replace = {}, mask = {} }", '{ mask = { char = "" } }'],
)
def test_an_operator_is_exactly_one_of_those_there_are(tmp_path: Path, operator: str) -> None:
    """None, two, an unknown one, or a hash without key cannot be used."""
    assert "operator" in refusal(tmp_path, spoiled(f'{{ hash = {{ key = "{SECRET}" }} }}', operator)).key


def test_a_loaded_policy_shows_no_secret(tmp_path: Path) -> None:
    """Printing, dumping or pickling the objects gives nothing away."""
    loaded = load_policy(written(tmp_path))
    shown = [repr(loaded), str(loaded.policy), repr(loaded.policy.model_dump()), f"{loaded.policy.connections}"]
    assert SECRET not in "".join(shown)
    with pytest.raises(Exception, match=r"serialize") as caught:
        loaded.policy.model_dump_json()
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError):
        pickle.dumps(loaded.policy.connections[0].credential)


def test_who_needs_no_secret_gets_none(tmp_path: Path) -> None:
    """Reading sessions works on a machine that does not have the model's key."""
    file = written(tmp_path, spoiled(f"Bearer {SECRET}", "Bearer ${env:HG_UNSET} ${file:missing}"))
    assert load_policy(file, secrets=False).policy.connections
    with pytest.raises(PolicyError):
        load_policy(file)


def test_objects_of_a_policy_cannot_be_changed(tmp_path: Path) -> None:
    """They are shared by all requests."""
    loaded = load_policy(written(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        loaded.policy.gateway.mode = "observe"  # type: ignore[misc]
