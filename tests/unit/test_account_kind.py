"""Paper settings never meet a live account, live settings never a paper one: three signs, each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker.account_kind import check_account, check_addresses, check_keys, kind_of_account, kind_of_key
from engine.broker.endpoints import Endpoints
from engine.errors import EXIT_REFUSED, RefusedError
from engine.model import Mode
from engine.settings import BrokerSettings
from engine.simulator.account import account_number


@pytest.mark.parametrize(("mode", "key"), [(Mode.LIVE, "PKABCDEF12345678"), (Mode.PAPER, "AKABCDEF12345678")])
def test_a_key_of_the_other_account_is_refused_without_being_printed(mode: Mode, key: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_keys(mode, key)
    assert refusal.value.exit_code == EXIT_REFUSED
    said = str(refusal.value)
    assert f"broker.mode is {mode}" in said
    assert "nothing was sent" in said
    assert "APCA_API_KEY_ID" in said
    assert key[2:] not in said


@given(st.sampled_from(list(Mode)), st.text(max_size=20))
def test_a_key_whose_first_letters_say_nothing_is_left_to_the_broker(mode: Mode, key: str) -> None:
    if kind_of_key(key) is None:
        check_keys(mode, key)


def test_keys_of_the_right_account_pass_and_the_simulator_takes_any() -> None:
    check_keys(Mode.PAPER, "PKABCDEF12345678")
    check_keys(Mode.LIVE, "AKABCDEF12345678")
    for key in ("PKABCDEF12345678", "AKABCDEF12345678", "SIM0"):
        check_keys(Mode.SIM, key)


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("paper", {"trading_url": "https://api.alpaca.markets"}),
        ("paper", {"trading_url": "https://API.alpaca.markets:443/"}),
        ("live", {"trading_url": "https://paper-api.alpaca.markets"}),
        ("live", {"trade_stream_url": "wss://paper-api.alpaca.markets/stream"}),
        ("paper", {"trade_stream_url": "wss://api.alpaca.markets/stream"}),
        ("sim", {"trading_url": "https://api.alpaca.markets", "trade_stream_url": "ws://x", "price_stream_url": "ws://y"}),
    ],
)  # fmt: skip
def test_an_address_of_the_other_account_is_refused(mode: str, settings: dict[str, str]) -> None:
    endpoints = Endpoints.of_settings(BrokerSettings(mode=Mode(mode), **settings))
    with pytest.raises(RefusedError, match=r"leads to the (paper|live) account: nothing was sent"):
        check_addresses(Mode(mode), endpoints)


def test_the_modes_own_addresses_and_any_other_host_pass() -> None:
    for mode in (Mode.PAPER, Mode.LIVE):
        check_addresses(mode, Endpoints.of_settings(BrokerSettings(mode=mode)))
        check_addresses(mode, Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1", "ws://x", "ws://y"))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("number", ["PA3FQ1X0YZAB", "123456789", "SIM000000007"])
def test_the_account_that_answers_must_be_of_the_mode(mode: Mode, number: str) -> None:
    if kind_of_account(number) is mode:
        check_account(mode, number)
        return
    with pytest.raises(RefusedError, match="no order was sent"):
        check_account(mode, number)


def test_the_simulator_numbers_its_accounts_as_the_rules_read_them() -> None:
    for mode in Mode:
        assert kind_of_account(account_number(mode.value, 7)) is mode
    with pytest.raises(ValueError, match="sim, paper or live"):
        account_number("margin", 7)
