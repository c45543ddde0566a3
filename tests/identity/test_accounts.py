"""Service accounts: keys that are nobody else's, and what becomes of them."""

import asyncio
import hashlib
import sqlite3
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import SMALL, written

from hoopguard.identity.account_keys import KEY_PREFIX, account_of, is_key, key_sha256, new_account_id, new_key
from hoopguard.identity.account_verifier import AccountVerifier
from hoopguard.identity.accounts import LONGEST_OVERLAP_S, LONGEST_S, AccountRefusedError, Accounts, standing
from hoopguard.identity.permissions import permit
from hoopguard.identity.principal import Principal
from hoopguard.policy import PolicyError, load_policy
from hoopguard.policy.model import Issuer
from hoopguard.store import Store, StoreError, open_store
from hoopguard.store.accounts import RevisionWatch
from hoopguard.store.database import DATABASE_NAME

NOW = 1_800_000_000.0
DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def accounts(store: Store) -> Accounts:
    return Accounts(store)


def verify(state: Path, key: str, now: float = NOW) -> Principal | None:
    """Ask as a gateway does that has just started."""

    async def asked() -> Principal | None:
        verifier = AccountVerifier(state)
        try:
            return await verifier.verify(key, now)
        finally:
            await verifier.aclose()

    return asyncio.run(asked())


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_two_keys_are_alike() -> None:
    """Neither of different accounts nor of one; nor are ids."""
    ids = {new_account_id() for _ in range(500)}
    keys = {new_key(account_id) for account_id in ids for _ in range(4)}
    assert (len(ids), len(keys)) == (500, 2000)


def test_a_key_says_whose_it_is() -> None:
    """Its id can be read from it, with 256 bits beside it that say nothing."""
    account_id = new_account_id()
    key = new_key(account_id)
    assert account_of(key) == account_id
    body = key.removeprefix(f"{KEY_PREFIX}{account_id}_")
    assert len(body.rpartition("_")[0]) * 6 >= 256


@given(data=st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    """By the checksum already, wherever it stands; and whatever the checksum, by the hash."""
    key = new_key(new_account_id())
    place = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.sampled_from([char for char in string.printable + "é\0" if char != key[place]]))
    changed = key[:place] + other + key[place + 1 :]
    assert account_of(changed) is None
    assert not is_key(changed, key_sha256(key))
    assert is_key(key, key_sha256(key))


@given(st.text(max_size=100) | st.text(max_size=80).map(lambda text: f"hgsa_{text}"))
def test_text_of_any_shape_is_nobodys_key(text: str) -> None:
    """And crashes nothing, lone surrogates included."""
    assert account_of(text) is None
    assert account_of(text + "\udcff") is None
    assert not is_key(text + "\udcff", key_sha256(text))


@pytest.mark.parametrize("spoil", [str.upper, lambda key: key + "\n", lambda key: " " + key, lambda key: key[:-1]])
def test_a_key_that_is_nearly_right_is_refused(spoil: "type[str]") -> None:
    """Case, white space and every character count."""
    assert account_of(spoil(new_key(new_account_id()))) is None


# ── accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_proves_its_account(accounts: Accounts, tmp_path: Path) -> None:
    """The principal is a service of the reserved issuer, with the account's groups, until the key expires."""
    _, key = accounts.add("nightly", ["ci", "ml", "ci"], expires_s=DAY_S, now=NOW)
    principal = verify(tmp_path, key)
    assert principal == Principal("nightly", "hoopguard accounts", "service", frozenset({"ci", "ml"}), "", NOW + DAY_S)


def test_no_issuer_of_a_policy_can_have_the_accounts_name() -> None:
    """So no token can pose as an account."""
    with pytest.raises(ValueError, match="name"):
        Issuer.model_validate({"name": "hoopguard accounts", "url": "https://x.example", "audience": "a"})


def test_an_allow_line_may_name_the_accounts_as_issuer(tmp_path: Path) -> None:
    """Then a person of the same name is another subject; where keys are not taken, there is no such issuer."""
    line = '{ issuers = ["hoopguard accounts"], subjects = ["nightly"] }'
    taken = SMALL.replace('{ groups = ["ml"] }', line) + "[accounts]\nenabled = true\n"
    connection = load_policy(written(tmp_path, taken)).policy.connections[0]
    person, account = (
        Principal("nightly", issuer, "service", frozenset(), "", NOW) for issuer in ("staff", "hoopguard accounts")
    )
    assert [permit(connection, who, "models", "m").allowed for who in (person, account)] == [False, True]
    with pytest.raises(PolicyError, match="does not exist"):
        load_policy(written(tmp_path, taken.replace("true", "false")))


def test_a_key_in_the_wrong_place_is_nobodys_model(tmp_path: Path) -> None:
    """Though all models are allowed: its name would go to the model server, and into the record."""
    connection = load_policy(written(tmp_path, SMALL)).policy.connections[0]
    caller = Principal("ada", "staff", "person", frozenset({"ml"}), "", NOW)
    key = new_key(new_account_id())
    named = ("llama", key, f"org/{key}")
    assert [permit(connection, caller, "models", model).allowed for model in named] == [True, False, False]


def test_nothing_of_a_key_is_kept_but_its_hash(accounts: Accounts, tmp_path: Path, store: Store) -> None:
    """Not in any file of the state folder; and all of them are their owner's only."""
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    _, second = accounts.rotate("nightly", expires_s=DAY_S, overlap_s=60, now=NOW)
    store.close()
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    content = b"".join(file.read_bytes() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    for each in (key, second):
        assert hashlib.sha256(each.encode()).hexdigest().encode() in content
        assert each[len(KEY_PREFIX) + 13 :][:20].encode() not in content


def test_a_key_expires(accounts: Accounts, tmp_path: Path) -> None:
    """To the moment: there is no leeway, for the clock is the gateway's own."""
    account, key = accounts.add("nightly", [], expires_s=60, now=NOW)
    assert verify(tmp_path, key, NOW + 59.9) is not None
    assert verify(tmp_path, key, NOW + 60) is None
    assert (standing(account, NOW + 59.9), standing(account, NOW + 60)) == ("active", "expired")


def test_an_account_that_is_disabled_stays_so(accounts: Accounts, tmp_path: Path) -> None:
    """Neither of its keys is good, it cannot be rotated, its name is not given again; disabling is once."""
    _, old = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    _, key = accounts.rotate("nightly", expires_s=DAY_S, overlap_s=60, now=NOW)
    assert None not in (verify(tmp_path, old), verify(tmp_path, key))
    accounts.disable("nightly", now=NOW + 1)
    assert [verify(tmp_path, each) for each in (old, key)] == [None, None]
    with pytest.raises(AccountRefusedError, match="disabled"):
        accounts.rotate("nightly", expires_s=DAY_S, now=NOW + 2)
    with pytest.raises(AccountRefusedError, match="already"):
        accounts.add("nightly", [], expires_s=DAY_S, now=NOW + 2)
    assert accounts.disable("nightly", now=NOW + 3).disabled_at == NOW + 1
    assert standing(accounts.list()[0], NOW) == "disabled"


def test_rotation_ends_the_old_key_at_once_or_after_the_overlap(accounts: Accounts, tmp_path: Path) -> None:
    """The old key never outlives what it was given, and a key still older ends."""
    _, first = accounts.add("nightly", [], expires_s=100, now=NOW)
    _, second = accounts.rotate("nightly", expires_s=DAY_S, now=NOW)
    assert (verify(tmp_path, first), verify(tmp_path, second) is None) == (None, False)
    _, third = accounts.rotate("nightly", expires_s=DAY_S, overlap_s=50, now=NOW + 10)
    assert [verify(tmp_path, key, NOW + 59.9) is not None for key in (first, second, third)] == [False, True, True]
    assert [verify(tmp_path, key, NOW + 60) is not None for key in (first, second, third)] == [False, False, True]
    _, fourth = accounts.rotate("nightly", expires_s=10, overlap_s=50, now=NOW + 20)
    assert [verify(tmp_path, key, NOW + 25) is not None for key in (second, third, fourth)] == [False, True, True]
    accounts.rotate("nightly", expires_s=DAY_S, overlap_s=50, now=NOW + 21)
    assert verify(tmp_path, fourth, NOW + 30) is None


def test_a_key_of_another_account_is_refused(accounts: Accounts, tmp_path: Path) -> None:
    """A right checksum over one account's id and another's secret proves nobody."""
    accounts.add("one", [], expires_s=DAY_S, now=NOW)
    account, _ = accounts.add("two", [], expires_s=DAY_S, now=NOW)
    assert verify(tmp_path, new_key(account.id)) is None
    assert verify(tmp_path, new_key(new_account_id())) is None


@pytest.mark.parametrize("name", ["", "A", "a b", "é", "a\n", "-a", "a" * 65, "ann@example.com", "*"])
def test_a_name_that_cannot_be_is_refused(accounts: Accounts, name: str) -> None:
    """Names are as those of the policy's tables."""
    with pytest.raises(ValueError, match="name"):
        accounts.add(name, [], expires_s=DAY_S, now=NOW)
    assert accounts.list() == ()


@pytest.mark.parametrize("group", ["", " ", "*", "a\nb", "\u202ea", "x" * 201])
def test_a_group_that_cannot_be_is_refused(accounts: Accounts, group: str) -> None:
    """``*`` means everybody in a policy, and is nobody's group."""
    with pytest.raises(ValueError, match="group"):
        accounts.add("nightly", ["ci", group], expires_s=DAY_S, now=NOW)


@pytest.mark.parametrize("expires_s", [0, 0.5, -1, LONGEST_S + 1, float("nan"), float("inf")])
def test_an_expiry_cannot_be_left_out_or_be_endless(accounts: Accounts, expires_s: float) -> None:
    """Not when an account is made, and not when it is rotated."""
    with pytest.raises(ValueError, match="expiry"):
        accounts.add("nightly", [], expires_s=expires_s, now=NOW)
    accounts.add("nightly", [], expires_s=LONGEST_S, now=NOW)
    with pytest.raises(ValueError, match="expiry"):
        accounts.rotate("nightly", expires_s=expires_s, now=NOW)
    with pytest.raises(ValueError, match="overlap"):
        accounts.rotate("nightly", expires_s=1, overlap_s=LONGEST_OVERLAP_S + 1, now=NOW)


# ── the verifier of a running gateway ───────────────────────────────────────────────────────────────────────────────


async def test_a_running_verifier_sees_what_others_change(tmp_path: Path) -> None:
    """Each of: a first account where there was no database, another one, a rotation, a disabling."""
    verifier = AccountVerifier(tmp_path)
    assert await verifier.verify(new_key(new_account_id()), NOW) is None
    with open_store(tmp_path) as other:
        accounts = Accounts(other)
        _, first = accounts.add("one", [], expires_s=DAY_S, now=NOW)
        assert await verifier.verify(first, NOW) is not None
        _, second = accounts.add("two", [], expires_s=DAY_S, now=NOW)
        assert await verifier.verify(second, NOW) is not None
        _, rotated = accounts.rotate("one", expires_s=DAY_S, now=NOW)
        assert await verifier.verify(first, NOW) is None
        assert await verifier.verify(rotated, NOW) is not None
        accounts.disable("one", now=NOW)
        assert await verifier.verify(rotated, NOW) is None
        assert await verifier.verify(second, NOW) is not None
    await verifier.aclose()


async def test_keys_are_looked_up_in_memory_until_an_account_changes(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good and unknown keys, many at once, and uses written down: the accounts are read once."""
    snapshot = Mock(side_effect=accounts.snapshot)
    monkeypatch.setattr(Accounts, "snapshot", snapshot)
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    verifier = AccountVerifier(tmp_path)
    answers = await asyncio.gather(
        *(verifier.verify(key, NOW + 61 * number) for number in range(20)),
        *(verifier.verify(new_key(new_account_id()), NOW) for _ in range(20)),
    )
    assert [answer is not None for answer in answers] == [True] * 20 + [False] * 20
    snapshot.assert_called_once()
    await verifier.aclose()


async def test_the_last_use_is_written_once_a_minute(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that of a key that was refused."""
    used = Mock(side_effect=accounts.used)
    monkeypatch.setattr(Accounts, "used", used)
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    account, _ = accounts.add("unused", [], expires_s=DAY_S, now=NOW)
    verifier = AccountVerifier(tmp_path)
    for seconds in (0, 1, 59, 60, 61, 119, 121):
        await verifier.verify(key, NOW + seconds)
        await verifier.verify(new_key(account.id), NOW + seconds)
    await verifier.aclose()
    assert sorted(call.args[1] for call in used.call_args_list) == [NOW, NOW + 60, NOW + 121]
    assert {each.name: each.last_used_at for each in accounts.list()} == {"nightly": NOW + 121, "unused": None}


async def test_a_use_that_cannot_be_written_refuses_nobody(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, by the account's name."""

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Accounts, "used", fail)
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    verifier = AccountVerifier(tmp_path)
    assert await verifier.verify(key, NOW) is not None
    await verifier.aclose()
    assert "last use of the account nightly" in caplog.text
    assert key not in caplog.text


async def test_accounts_that_cannot_be_looked_up_prove_nobody(tmp_path: Path) -> None:
    """A database that is not right is an error; once it is mended, the same verifier goes on."""
    with open_store(tmp_path) as store:
        _, key = Accounts(store).add("nightly", [], expires_s=DAY_S, now=NOW)
    (tmp_path / DATABASE_NAME).chmod(0o644)
    verifier = AccountVerifier(tmp_path)
    with pytest.raises(StoreError, match="chmod 600"):
        await verifier.verify(key, NOW)
    (tmp_path / DATABASE_NAME).chmod(0o600)
    assert await verifier.verify(key, NOW) is not None
    await verifier.aclose()


async def test_a_stranger_costs_no_look_at_the_store(tmp_path: Path) -> None:
    """What cannot be a key is refused by its shape; not even a state folder is made."""
    verifier = AccountVerifier(tmp_path / "var")
    for text in ("hgsa_", f"{new_key(new_account_id())}x", "hgsa_" + "a" * 20_000):
        assert await verifier.verify(text, NOW) is None
    await verifier.aclose()
    assert not (tmp_path / "var").exists()


async def test_a_file_that_cannot_be_watched_proves_nobody(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error, not a key that is bad; and not one that is good."""
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    unable = Mock(side_effect=sqlite3.OperationalError("unable to open database file"))
    monkeypatch.setattr("hoopguard.identity.account_verifier.RevisionWatch", unable)
    with pytest.raises(StoreError, match="unable to open"):
        await AccountVerifier(tmp_path).verify(key, NOW)


def test_a_revision_that_cannot_be_told_is_none(store: Store, tmp_path: Path) -> None:
    """So that nobody takes an old one for it."""
    Accounts(store).add("nightly", [], expires_s=DAY_S, now=NOW)
    watch = RevisionWatch(tmp_path)
    assert (watch.now(), watch.is_replaced) == (1, False)
    watch.close()
    assert watch.now() is None


def test_of_many_who_take_a_name_at_once_one_gets_it(tmp_path: Path) -> None:
    """Each with its own connection, in a database without the table still."""
    open_store(tmp_path).close()

    def take(_: int) -> bool:
        with open_store(tmp_path) as store:
            try:
                Accounts(store).add("nightly", [], expires_s=DAY_S, now=NOW)
            except AccountRefusedError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


async def test_a_database_that_is_busy_is_waited_for_off_the_loop(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the revision cannot be told at once, the accounts are read again, and nothing old is believed."""
    _, key = accounts.add("nightly", [], expires_s=DAY_S, now=NOW)
    verifier = AccountVerifier(tmp_path)
    assert await verifier.verify(key, NOW) is not None
    accounts.disable("nightly", now=NOW)
    monkeypatch.setattr("hoopguard.store.accounts.RevisionWatch.now", lambda _: None)
    assert await verifier.verify(key, NOW) is None
    await verifier.aclose()


async def test_a_database_that_was_put_in_place_of_another_counts(tmp_path: Path) -> None:
    """A backup that was put back, or none at all: what the old file said is not believed any more."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    keys = {}
    for folder in (here, elsewhere):
        with open_store(folder) as store:
            _, keys[folder] = Accounts(store).add("nightly", [], expires_s=DAY_S, now=NOW)
    verifier = AccountVerifier(here)
    assert await verifier.verify(keys[here], NOW) is not None
    (elsewhere / DATABASE_NAME).rename(here / DATABASE_NAME)
    for suffix in ("-wal", "-shm"):
        (here / f"{DATABASE_NAME}{suffix}").unlink(missing_ok=True)
    assert await verifier.verify(keys[here], NOW) is None
    assert await verifier.verify(keys[elsewhere], NOW) is not None
    (here / DATABASE_NAME).unlink()
    assert await verifier.verify(keys[elsewhere], NOW) is None
    await verifier.aclose()


def test_older_databases_get_their_table_with_the_first_account(tmp_path: Path) -> None:
    """Nothing else of them changes: an account's table is not there before, and approvals are what they were."""

    def tables() -> set[str]:
        with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    with open_store(tmp_path) as store:
        before = tables()
        assert Accounts(store).list() == ()
        Accounts(store).add("nightly", [], expires_s=DAY_S, now=NOW)
        assert tables() - before == {"accounts"}
    with open_store(tmp_path, read_only=True) as store:
        assert [account.name for account in Accounts(store).list()] == ["nightly"]
