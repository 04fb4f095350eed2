"""The sender against an adversary: loss, reordering, duplication, reneging, time, in any order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from omtcp.core.config import Mode, Policy

from .world import MOST_PATHS, MS, MSS, World

VERBS = ("drain", "undrain", "remove", "cost")
INDEX = st.integers(0, 1000)


class SenderMachine(RuleBasedStateMachine):
    """Hypothesis looks for the shortest story that breaks it."""

    world: World

    @initialize(
        paths=st.integers(1, 3),
        sack=st.booleans(),
        pooled=st.booleans(),
        redundant=st.booleans(),
        congestion=st.sampled_from(("reno", "cubic")),
        capacity=st.sampled_from((25, 150, 400, 4000)),
    )
    def begin(
        self,
        paths: int,
        sack: bool,
        pooled: bool,
        redundant: bool,
        congestion: str,
        capacity: int,
    ) -> None:
        self.world = World(
            paths=paths,
            sack=sack,
            mode=Mode.POOLED if pooled else Mode.PRIMARY,
            policy=Policy.REDUNDANT if pooled and redundant else Policy.POOLED,
            congestion=congestion,
            capacity=capacity,
        )
        self.world.write(200)

    @rule(size=st.integers(1, 300))
    def write(self, size: int) -> None:
        self.world.write(size)

    @rule()
    def close(self) -> None:
        self.world.close()

    @rule(plans=st.integers(1, 20))
    def transmit(self, plans: int) -> None:
        self.world.transmit(plans)

    @precondition(lambda self: self.world.network)
    @rule(index=INDEX, duplicate=st.booleans())
    def deliver(self, index: int, duplicate: bool) -> None:
        self.world.deliver(index % len(self.world.network), duplicate=duplicate)

    @precondition(lambda self: self.world.network)
    @rule(count=st.integers(1, 30))
    def deliver_many(self, count: int) -> None:
        for _ in range(min(count, len(self.world.network))):
            self.world.deliver(0)

    @precondition(lambda self: self.world.network)
    @rule(path=st.integers(0, 2))
    def lose_all_of(self, path: int) -> None:
        network = self.world.network
        network[:] = [packet for packet in network if packet.path != path]

    @precondition(lambda self: self.world.network)
    @rule(index=INDEX)
    def lose(self, index: int) -> None:
        self.world.network.pop(index % len(self.world.network))

    @precondition(lambda self: self.world.acks)
    @rule(index=INDEX)
    def deliver_ack(self, index: int) -> None:
        self.world.deliver_ack(index % len(self.world.acks))

    @precondition(lambda self: self.world.acks)
    @rule()
    def deliver_all_acks(self) -> None:
        while self.world.acks:
            self.world.deliver_ack(0)

    @precondition(lambda self: self.world.acks)
    @rule(index=INDEX)
    def lose_ack(self, index: int) -> None:
        self.world.acks.pop(index % len(self.world.acks))

    @rule()
    def renege(self) -> None:
        self.world.receiver.renege()

    @rule(capacity=st.integers(0, 500))
    def resize_window(self, capacity: int) -> None:
        self.world.receiver.capacity = capacity
        self.world.acks.append(self.world.receiver.acknowledge())

    @rule(duration_ms=st.sampled_from((1, 10, 40, 100, 300, 2000)))
    def pass_time(self, duration_ms: int) -> None:
        self.world.pass_time(duration_ms * MS)

    @rule()
    def evaluate(self) -> None:
        self.world.sender.evaluate(self.world.now)

    @rule(index=INDEX, mss=st.integers(4, MSS))
    def too_big(self, index: int, mss: int) -> None:
        board = self.world.sender.board
        if board.nxt > board.una:
            offset = board.una + index % (board.nxt - board.una)
            self.world.sender.on_too_big(self.world.now, offset, mss)

    @rule(path=st.integers(0, 2), up=st.booleans())
    def link(self, path: int, up: bool) -> None:
        self.world.link(path, up=up)

    @rule(policy=st.sampled_from(Policy))
    def set_policy(self, policy: Policy) -> None:
        self.world.set_policy(policy)

    @rule(cost=st.integers(0, 2))
    def add_path(self, cost: int) -> None:
        self.world.add(cost)

    @rule(
        verb=st.sampled_from(VERBS),
        path=st.integers(0, 3),
        force=st.booleans(),
        cost=st.integers(0, 2),
    )
    def operate(self, verb: str, path: int, force: bool, cost: int) -> None:
        self.world.operate(verb, path, force=force, cost=cost)

    @invariant()
    def consistent(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.calm_down()


TestSenderMachine = SenderMachine.TestCase
TestSenderMachine.settings = settings(max_examples=150, stateful_step_count=40)


def step(world: World, random: Random, loss: float) -> None:
    """One random thing happens."""
    dice = random.random()
    if dice < 0.25:
        world.transmit(random.randrange(1, 10))
    elif dice < 0.55 and world.network:
        index = 0 if random.random() < 0.8 else random.randrange(len(world.network))
        if random.random() < loss:
            world.network.pop(index)
        else:
            world.deliver(index, duplicate=random.random() < 0.02)
    elif dice < 0.8 and world.acks:
        index = 0 if random.random() < 0.9 else random.randrange(len(world.acks))
        if random.random() < loss:
            world.acks.pop(index)
        else:
            world.deliver_ack(index)
    elif dice < 0.85:
        world.write(random.randrange(1, 200))
    elif dice < 0.86:
        world.receiver.renege()
    elif dice < 0.87:
        world.receiver.capacity = random.choice((0, 7, 50, 400, 2000))
        world.acks.append(world.receiver.acknowledge())
    elif dice < 0.88:
        world.sender.evaluate(world.now)
    elif dice < 0.885:
        world.link(random.randrange(3), up=random.random() < 0.7)
    elif dice < 0.89:
        world.add(random.choice((0, 0, 1)))
    elif dice < 0.893:
        world.set_policy(random.choice(list(Policy)))
    elif dice < 0.9:
        verb, path = random.choice(VERBS), random.randrange(MOST_PATHS)
        world.operate(verb, path, force=random.random() < 0.1, cost=random.randrange(3))
    else:
        world.pass_time(random.choice((1, 5, 20, 20, 20, 60, 300)) * MS)


@pytest.mark.parametrize("seed", range(60))
def test_long_walk(seed: int) -> None:
    """Deeper than Hypothesis goes; `calm_down` and every check name the seed."""
    random = Random(seed)
    mode, policy = random.choice(
        (
            (Mode.PRIMARY, Policy.POOLED),
            (Mode.POOLED, Policy.POOLED),
            (Mode.POOLED, Policy.REDUNDANT),
        )
    )
    world = World(
        paths=random.randrange(1, 4),
        sack=random.random() < 0.8,
        mode=mode,
        policy=policy,
        congestion=random.choice(("reno", "cubic")),
        capacity=random.choice((60, 400, 2000)),
        seed=seed,
    )
    loss = random.choice((0.0, 0.05, 0.3))
    for _ in range(400):
        step(world, random, loss)
        world.check()
    world.calm_down()


@pytest.mark.parametrize("policy", list(Policy))
def test_a_new_path_replaces_the_only_one_before_anything_was_sent(policy: Policy) -> None:
    """There is no byte yet that the new path could be asked by."""
    world = World(
        paths=1, sack=True, mode=Mode.POOLED, policy=policy, congestion="reno", capacity=400, seed=0
    )
    world.operate("drain", 0, force=True, cost=0)
    world.operate("remove", 0, force=False, cost=0)
    world.calm_down()
