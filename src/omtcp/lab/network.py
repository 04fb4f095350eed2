"""The lab's networks: a server with several uplinks, a client, and links or cables between them.

Addresses, the same in every network:

    server   veth0, veth1, ...   10.9.I.1/30   fd09:0:0:I::1/64   gateways .2 and ::2
    client   eth0 (direct: lo)   10.8.0.2      fd08::2
    served   nobody's kernel     192.0.2.1     2001:db8::1
    rivals   veth0 each          10.10.G.1/30  fd10:0:0:G::1/64   gateways .2 and ::2

The served address belongs to no interface: packets for it are routed to the server by the client,
and what the server does with them is the sender's business. `own_address` gives it to the server's
kernel for the reference runs. Multipath TCP needs an address per uplink (`multihome`) and is served
from the uplinks' own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

from omtcp.lab.case import Case, Client
from omtcp.lab.control import Emulator
from omtcp.lab.netns import Namespace, next_number
from omtcp.lab.plan import Plan, Rival

SERVED = {4: "192.0.2.1", 6: "2001:db8::1"}
CLIENT = {4: "10.8.0.2", 6: "fd08::2"}
_FIRST_TABLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """One interface of a server, and the next hop on it per address family."""

    device: str
    address: dict[int, str]
    gateway: dict[int, str]

    @classmethod
    def numbered(cls, index: int) -> "Uplink":
        return cls(
            device=f"veth{index}",
            address={4: f"10.9.{index}.1", 6: f"fd09:0:0:{index}::1"},
            gateway={4: f"10.9.{index}.2", 6: f"fd09:0:0:{index}::2"},
        )

    @classmethod
    def rival(cls, group: int) -> "Uplink":
        """The only one of a competing server."""
        return cls(
            device="veth0",
            address={4: f"10.10.{group}.1", 6: f"fd10:0:0:{group}::1"},
            gateway={4: f"10.10.{group}.2", 6: f"fd10:0:0:{group}::2"},
        )


def _mac(group: int, index: int) -> str:
    """A locally administered address: group 1 the server, 2 the client, 3 gateways, 4 rivals."""
    return f"02:00:00:00:{group:02x}:{index:02x}"


class Network:
    """Namespaces with everything in them; a context manager that removes them again."""

    def __init__(self, case: Case, directory: Path) -> None:
        self.case = case
        self.directory = directory
        self.uplinks = [Uplink.numbered(index) for index in range(len(case.uplinks))]
        self.emulator: Emulator | None = None
        self.rivals: list[tuple[Namespace, Uplink]] = []
        self._namespaces: list[Namespace] = []

    @property
    def served(self) -> str:
        """The address that is served."""
        return SERVED[self.case.family]

    def url(self, name: str, port: int) -> str:
        """Of a file at the served address."""
        return f"http://{in_url(self.served)}:{port}/{name}"

    def __enter__(self) -> "Network":
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.emulator is not None:
            self.emulator.close()
            self.emulator = None
        while self._namespaces:
            self._namespaces.pop().remove()

    def _namespace(self, role: str, number: int) -> Namespace:
        namespace = Namespace(role, number)
        self._namespaces.append(namespace)
        namespace.sysctl(
            {
                "net.ipv4.conf.all.rp_filter": 0,  # the way back is not the way out
                "net.ipv4.conf.default.rp_filter": 0,
                "net.ipv6.conf.default.accept_dad": 0,
                "net.ipv6.conf.default.router_solicitations": 0,
                "net.ipv4.tcp_no_metrics_save": 1,  # runs must not learn from each other
            }
        )
        namespace.ip(["link set lo up"])
        return namespace

    def _build(self) -> None:
        number = next_number()
        self.server = self._namespace("srv", number)
        self.client = self._namespace("cli", number)
        if self.case.direct:
            self._cable()
        else:
            self._emulate(number)
        self.client.sysctl(client_sysctls(self.case.client))

    def _cable(self) -> None:
        """Each uplink is a veth straight to the client, which is its own gateway."""
        mtu = self.case.client.mtu
        home = self.case.return_index()
        for index, uplink in enumerate(self.uplinks):
            device, far = uplink.device, f"eth{index}"
            self.server.ip(
                [
                    f"link add {device} type veth peer name {far} netns {self.client.name}",
                    f"address add {uplink.address[4]}/30 dev {device}",
                    f"address add {uplink.address[6]}/64 dev {device} nodad",
                    f"link set {device} up",
                ]
            )
            self.client.ip(
                [
                    f"link set {far} mtu {mtu}",
                    f"address add {uplink.gateway[4]}/30 dev {far}",
                    f"address add {uplink.gateway[6]}/64 dev {far} nodad",
                    f"link set {far} up",
                ]
            )
        hop = self.uplinks[home].address
        self.client.ip(
            [
                f"address add {CLIENT[4]}/32 dev lo",
                f"address add {CLIENT[6]}/128 dev lo nodad",
                f"route add {SERVED[4]} via {hop[4]} src {CLIENT[4]}",
                f"route add {SERVED[6]} via {hop[6]} src {CLIENT[6]}",
            ]
        )
        self.default_uplink(home)

    def _emulate(self, number: int) -> None:
        middle = self._namespace("emu", number)
        # Nothing of the kernel's own may answer or speak on the emulator's ends.
        middle.sysctl({"net.ipv6.conf.default.disable_ipv6": 1})
        for index, uplink in enumerate(self.uplinks):
            self._uplink(self.server, middle, uplink, f"up{index}", _mac(1, index))
        self._client_end(middle)
        self.default_uplink(self.case.return_index())
        for group in range(len(self.case.competitors)):
            self._rival(number, middle, group)
        self.emulator = Emulator(middle, self._plan(), self.directory / "emulator.log")

    def _plan(self) -> Plan:
        case = self.case
        count = range(len(self.uplinks))
        return Plan(
            uplinks=tuple(f"up{index}" for index in count),
            macs=tuple(_bytes(_mac(1, index)) for index in count),
            client="client",
            client_mac=_bytes(_mac(2, 0)),
            forward=case.forward_configs(),
            back=case.return_config(),
            back_on=case.return_index(),
            swallow=tuple(uplink.swallow for uplink in case.uplinks),
            bottleneck=case.bottleneck_config(),
            behind=case.behind(),
            rivals=tuple(self._rival_plan(group) for group in range(len(self.rivals))),
            script=case.script(),
            seed=case.seed,
        )

    def _rival(self, number: int, middle: Namespace, group: int) -> None:
        """A server of its own for each group of competitors."""
        namespace = self._namespace(f"rival{_letter(group)}", number)
        uplink = Uplink.rival(group)
        self._uplink(namespace, middle, uplink, f"rival{group}", _mac(4, group))
        _default_route(namespace, uplink)
        self.rivals.append((namespace, uplink))

    def _rival_plan(self, group: int) -> Rival:
        _, uplink = self.rivals[group]
        competitors = self.case.competitors[group]
        return Rival(
            device=f"rival{group}",
            mac=_bytes(_mac(4, group)),
            addresses=tuple(ip_address(text).packed for text in uplink.address.values()),
            flows=competitors.count,
            link=self.case.competitor_config(competitors),
            uplink=competitors.uplink,
        )

    def _uplink(
        self, near: Namespace, middle: Namespace, uplink: Uplink, far: str, mac: str
    ) -> None:
        """A veth from a server to the emulator, whose end is called `far`."""
        device, gateway = uplink.device, _mac(3, 0)
        near.ip(
            [
                f"link add {device} address {mac} type veth peer name {far} netns {middle.name}",
                f"address add {uplink.address[4]}/30 dev {device}",
                f"address add {uplink.address[6]}/64 dev {device} nodad",
                f"link set {device} up",
                f"neigh replace {uplink.gateway[4]} lladdr {gateway} dev {device} nud permanent",
                f"neigh replace {uplink.gateway[6]} lladdr {gateway} dev {device} nud permanent",
            ]
        )
        middle.ip([f"link set {far} up"])
        near.offloads_off(device)

    def _client_end(self, middle: Namespace) -> None:
        gateway = _mac(3, 255)
        self.client.ip(
            [
                f"link add eth0 address {_mac(2, 0)} type veth"
                f" peer name client netns {middle.name}",
                f"link set eth0 mtu {self.case.client.mtu}",
                f"address add {CLIENT[4]}/30 dev eth0",
                f"address add {CLIENT[6]}/64 dev eth0 nodad",
                "link set eth0 up",
                f"neigh replace 10.8.0.1 lladdr {gateway} dev eth0 nud permanent",
                f"neigh replace fd08::1 lladdr {gateway} dev eth0 nud permanent",
                "route add default via 10.8.0.1",
                "route add ::/0 via fd08::1",
            ]
        )
        middle.ip(["link set client up"])
        self.client.offloads_off("eth0")

    def default_uplink(self, index: int) -> None:
        """The server's own default route, which a kernel sender follows."""
        _default_route(self.server, self.uplinks[index])

    def own_address(self) -> None:
        """The served address becomes one of the server's kernel."""
        length = "128 dev lo nodad" if self.case.family == 6 else "32 dev lo"
        self.server.ip([f"address add {self.served}/{length}"])

    def uplink_addresses(self) -> dict[str, int]:
        """Which uplink each of the server's own addresses belongs to."""
        family = self.case.family
        return {
            str(ip_address(uplink.address[family])): index
            for index, uplink in enumerate(self.uplinks)
        }

    def multihome(self, first: int) -> None:
        """Multipath TCP over all uplinks, for connections to the server's address on `first`.

        The server announces its other addresses, and what it sends from an address leaves by that
        address's uplink. The client answers on the return link whichever address it answers.
        """
        others = [uplink for index, uplink in enumerate(self.uplinks) if index != first]
        count = len(others)
        for end in (self.server, self.client):
            # An announcement that is lost would else be repeated only after two minutes.
            end.sysctl({"net.mptcp.enabled": 1, "net.mptcp.add_addr_timeout": 1})
            end.ip([f"mptcp limits set subflows {count} add_addr_accepted {count}"])
        family = self.case.family
        self.server.ip(self._source_routes(family), family)
        if others:
            self.server.ip(
                f"mptcp endpoint add {uplink.address[family]} dev {uplink.device} signal"
                for uplink in others
            )
        if self.case.direct:
            home = self.uplinks[self.case.return_index()].address[family]
            self.client.ip(
                f"route replace {uplink.address[family]} via {home} src {CLIENT[family]}"
                for uplink in self.uplinks
                if uplink.address[family] != home
            )

    def _source_routes(self, family: int) -> Iterator[str]:
        for index, uplink in enumerate(self.uplinks):
            table, hop = _FIRST_TABLE + index, uplink.gateway[family]
            yield f"route add default via {hop} dev {uplink.device} table {table}"
            yield f"rule add from {uplink.address[family]} lookup {table} priority {table}"


def _default_route(namespace: Namespace, uplink: Uplink) -> None:
    namespace.ip(
        [
            f"route replace default via {uplink.gateway[4]} dev {uplink.device}",
            f"route replace ::/0 via {uplink.gateway[6]} dev {uplink.device}",
        ]
    )


def _letter(number: int) -> str:
    """Names of namespaces end in letters."""
    return chr(ord("a") + number)


def in_url(address: str) -> str:
    """The address as a URL's host."""
    return f"[{address}]" if ":" in address else address


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def client_sysctls(client: Client) -> dict[str, str | int]:
    """What makes the client's kernel the variant that is asked for."""
    values: dict[str, str | int] = {
        "net.ipv4.tcp_sack": int(client.sack),
        "net.ipv4.tcp_timestamps": int(client.timestamps),
        "net.ipv4.tcp_ecn": 1 if client.ecn else 2,
    }
    if client.buffer:
        # The kernel counts its own overhead in: half of the buffer becomes window.
        size = 2 * client.buffer
        values["net.ipv4.tcp_rmem"] = f"4096 {size} {size}"
    return values
