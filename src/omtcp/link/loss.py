"""Loss models: how a link chooses the packets that never arrive.

A model is a frozen value that can be written into a configuration; `start()` gives the state that
walks through it. Randomness comes with every question, so the same seed gives the same losses.
"""

from dataclasses import dataclass
from typing import Protocol

from omtcp.errors import LocalError

PATTERN_BITS = 64


class Rng(Protocol):
    """What a link needs of a random generator; `random.Random` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...


class LossProcess(Protocol):
    """The state of a loss model on one link."""

    def drops(self, rng: Rng) -> bool:
        """Whether the next packet is lost."""
        ...


def _check_probability(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise LocalError(f"{name} must be between 0 and 1, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bernoulli:
    """Every packet is lost with the same probability, whatever happened before."""

    probability: float

    def __post_init__(self) -> None:
        _check_probability("loss probability", self.probability)

    def start(self) -> LossProcess:
        return _BernoulliProcess(self.probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class GilbertElliott:
    """Losses in bursts: a good and a bad state, and per packet a chance to change.

    The mean burst is 1/to_good packets; the mean loss is to_bad/(to_bad+to_good) with the default
    loss of one in the bad and none in the good state.
    """

    to_bad: float
    to_good: float
    loss_bad: float = 1.0
    loss_good: float = 0.0

    def __post_init__(self) -> None:
        for name in ("to_bad", "to_good", "loss_bad", "loss_good"):
            _check_probability(name, getattr(self, name))

    def start(self) -> LossProcess:
        return _GilbertElliottProcess(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Losses as data: bit n of a 64-bit mask says whether packet n (modulo 64) is lost.

    The lowest bit is the first packet. No dice: a test can name the packets that it drops.
    """

    bits: int

    def __post_init__(self) -> None:
        if not 0 <= self.bits < 1 << PATTERN_BITS:
            raise LocalError(f"a loss pattern has {PATTERN_BITS} bits, got {self.bits:#x}")

    def start(self) -> LossProcess:
        return _PatternProcess(self.bits)


Loss = Bernoulli | GilbertElliott | Pattern


class _BernoulliProcess:
    __slots__ = ("_probability",)

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def drops(self, rng: Rng) -> bool:
        return rng.random() < self._probability


class _GilbertElliottProcess:
    __slots__ = ("_bad", "_model")

    def __init__(self, model: GilbertElliott) -> None:
        self._model = model
        self._bad = False

    def drops(self, rng: Rng) -> bool:
        model = self._model
        if rng.random() < (model.to_good if self._bad else model.to_bad):
            self._bad = not self._bad
        return rng.random() < (model.loss_bad if self._bad else model.loss_good)


class _PatternProcess:
    __slots__ = ("_bits", "_position")

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._position = 0

    def drops(self, rng: Rng) -> bool:
        lost = bool(self._bits >> self._position & 1)
        self._position = (self._position + 1) % PATTERN_BITS
        return lost
