"""Tokens are kept, renewed early beside the calls, and fetched once however many wait."""

import asyncio
import threading

import pytest

from poolwright.actuation.provider import Unauthorised
from poolwright.actuation.tokens import Token, Tokens
from poolwright.clock import VirtualClock
from poolwright.redaction import without_secrets


class Login:
    """Gives tokens of an hour, one after the other; `held` keeps it from answering."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.given = 0
        self.error: Unauthorised | None = None
        self.held = threading.Event()
        self.held.set()

    def __call__(self) -> Token:
        self.held.wait()
        if self.error is not None:
            raise self.error
        self.given += 1
        return Token(f"token-number-{self.given}", self.clock.now() + 3600)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def login(clock):
    return Login(clock)


@pytest.fixture
async def tokens(login, clock):
    made = Tokens(login, clock)
    yield made
    login.held.set()
    await made.close()


async def renewed(tokens: Tokens, to: str) -> None:
    async with asyncio.timeout(5):
        while await tokens.get() != to:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.005)


async def test_one_is_kept_while_it_lasts(tokens, login, clock):
    assert await tokens.get() == "token-number-1"
    clock.advance_to(3200.0)
    assert await tokens.get() == "token-number-1"
    assert login.given == 1


async def test_however_many_wait_it_is_fetched_once(tokens, login):
    assert set(await asyncio.gather(*(tokens.get() for _ in range(5)))) == {"token-number-1"}
    assert login.given == 1


async def test_one_that_expires_soon_is_renewed_beside_the_calls(tokens, login, clock):
    await tokens.get()
    clock.advance_to(3400.0)
    login.held.clear()
    assert await tokens.get() == "token-number-1"
    login.held.set()
    await renewed(tokens, "token-number-2")


async def test_calls_go_on_while_renewing_fails_and_the_token_lasts(tokens, login, clock):
    await tokens.get()
    login.error = Unauthorised("the account is disabled")
    clock.advance_to(3400.0)
    assert await tokens.get() == "token-number-1"
    clock.advance_to(3580.0)
    with pytest.raises(Unauthorised, match="disabled"):
        await tokens.get()
    login.error = None
    assert await tokens.get() == "token-number-2"


async def test_one_that_was_refused_is_not_used_again(tokens, login):
    first = await tokens.get()
    tokens.refused(first)
    assert await tokens.get() == "token-number-2"
    tokens.refused(first)
    assert await tokens.get() == "token-number-2"


async def test_a_call_that_is_cut_off_takes_the_token_from_nobody(tokens, login):
    login.held.clear()
    one, other = (asyncio.create_task(tokens.get()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    login.held.set()
    assert await other == "token-number-1"
    assert login.given == 1


async def test_a_token_is_shown_nowhere(tokens):
    token = await tokens.get()
    assert token not in repr(Token(token, 0.0))
    assert without_secrets(f"the API quotes {token}") == "the API quotes ***"
