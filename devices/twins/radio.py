"""The virtual radio: an indexed link, controllers on it, and controllers for hosts in other processes.

What differs from bumble's own: the link finds receivers by address (its stock one hands each packet to all,
which 200 peripherals do not survive); the controller cancels a pending connection, drops its links on
HCI_Reset, and lets whoever starts to scan or connect hear at once those who advertise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import InvalidPacketError, PhysicalTransport
from bumble.link import LocalLink
from bumble.transport.common import PacketParser

from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IndexedLink", "RadioController", "VirtualRadio"]

_log = logging.getLogger(__name__)

_GONE: Final = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
_NOT_ESTABLISHED: Final = hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR
_PACKET_BYTES: Final = 251  # one ATT PDU in one packet; bumble's 27 would cut each discovery answer in ten
_HOST_ADDRESSES: Final = 0x5A_00_00_00_00_00


class IndexedLink(LocalLink):
    """A link that knows its controllers by address, and who listens."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._by_address: dict[hci.Address, RadioController] = {}
        self._listeners: set[RadioController] = set()

    def add_controller(self, controller: Controller) -> None:
        """Put a controller on the air."""
        super().add_controller(controller)
        self.on_address_changed(controller)

    def remove_controller(self, controller: Controller) -> None:
        """Take it off; what it was connected to notices."""
        if not isinstance(controller, RadioController) or controller not in self.controllers:
            return
        controller.drop_links(_GONE)
        self.controllers.discard(controller)
        self._listeners.discard(controller)
        for address in [a for a, c in self._by_address.items() if c is controller]:
            del self._by_address[address]

    def on_address_changed(self, controller: Controller) -> None:
        """Note the addresses under which the controller is reached."""
        if not isinstance(controller, RadioController):
            return
        for address in (controller.public_address, controller.random_address):
            if any(address.address_bytes):
                self._by_address[address] = controller

    def find_le_controller(self, address: hci.Address) -> RadioController | None:
        """The controller with that address, if it is on the air."""
        return self._by_address.get(address)

    def listen(self, controller: RadioController) -> None:
        """Note that the controller scans or waits to connect, and let it hear the advertisers now."""
        self._listeners.add(controller)
        pending = controller.pending_le_connection
        if controller.le_scan_enable:
            for other in tuple(self.controllers):
                if other is not controller and isinstance(other, RadioController):
                    other.advertise_now(controller)
        elif pending is not None and (target := self._by_address.get(pending.peer_address)):
            target.advertise_now(controller)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry one data packet to the other end of the sender's connection."""
        connection = sender_controller.le_connections.get(destination_address)
        target = self._by_address.get(destination_address)
        if connection is None or target is None:
            return
        source = connection.self_address
        asyncio.get_running_loop().call_soon(target.on_acl, source, transport, data)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Carry an advertisement to those who listen, or a connection request to the one it is for."""
        loop = asyncio.get_running_loop()
        if isinstance(packet, ll.ConnectInd):
            loop.call_soon(self._connect, sender_controller, packet)
            return
        if not isinstance(packet, ll.AdvInd):
            return
        for listener in tuple(self._listeners):
            if not listener.listens:
                self._listeners.discard(listener)
            elif listener is not sender_controller and listener.cares(packet.advertiser_address):
                loop.call_soon(listener.on_ll_advertising_pdu, packet)

    def _connect(self, sender: Controller, packet: ll.ConnectInd) -> None:
        """Deliver a connection request; one that nobody accepts ends at the central at once."""
        target = self._by_address.get(packet.advertiser_address)
        if target is not None and packet.initiator_address not in target.le_connections:
            target.on_ll_advertising_pdu(packet)
            if packet.initiator_address in target.le_connections:
                return
        if connection := sender.le_connections.get(packet.advertiser_address):
            sender.on_le_disconnected(connection, _NOT_ESTABLISHED)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a control packet; one for somebody who has left is lost, as on the air."""
        if target := self._by_address.get(receiver_address):
            asyncio.get_running_loop().call_soon(target.on_control, sender_address, packet)


class RadioController(Controller):
    """A controller of the virtual radio (legacy advertising only)."""

    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )
    acl_data_packet_length = _PACKET_BYTES
    le_acl_data_packet_length = _PACKET_BYTES
    link: IndexedLink

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Hand a packet to the host, after what is running now."""
        if self.host:
            asyncio.get_running_loop().call_soon(self._to_host, bytes(packet))

    def _to_host(self, packet: bytes) -> None:
        if self.host:
            self.host.on_packet(packet)

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Take a packet from the host."""
        match packet:
            case hci.HCI_AclDataPacket():
                if connection := self.find_connection_by_handle(packet.connection_handle):
                    connection.on_hci_acl_data_packet(packet)
            case hci.HCI_Command():
                self.on_hci_command_packet(packet)
            case _:
                super().on_hci_packet(packet)

    def on_acl(self, sender: hci.Address, transport: PhysicalTransport, data: bytes) -> None:
        """Take data off the air, unless the connection has ended meanwhile."""
        if sender in self.le_connections:
            self.on_link_acl_data(sender, transport, data)

    def on_control(self, sender: hci.Address, packet: ll.ControlPdu) -> None:
        """Take a control packet off the air, unless the connection has ended meanwhile."""
        if sender in self.le_connections:
            self.on_ll_control_pdu(sender, packet)

    @property
    def listens(self) -> bool:
        """Whether advertisements mean anything to it now."""
        return self.le_scan_enable or self.pending_le_connection is not None

    def cares(self, advertiser: hci.Address) -> bool:
        """Whether an advertisement from that address does."""
        pending = self.pending_le_connection
        return self.le_scan_enable or (pending is not None and pending.peer_address == advertiser)

    def advertise_now(self, listener: RadioController) -> None:
        """Let one listener hear this advertiser without waiting for the interval."""
        advertiser = self.le_legacy_advertiser
        if advertiser.enabled and listener.cares(advertiser.address):
            packet = ll.AdvInd(advertiser_address=advertiser.address, data=advertiser.advertising_data)
            asyncio.get_running_loop().call_soon(listener.on_ll_advertising_pdu, packet)

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Connect to an advertiser, unless connected already (two advertisements in one go)."""
        if peer_address not in self.le_connections:
            super().create_le_connection(peer_address)

    def drop_links(self, reason: int) -> None:
        """End every connection without asking; the peers are told."""
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(reason))
        self.le_connections.clear()

    def silence(self) -> None:
        """Back to the state after power-on: no links, no advertising, no scan, nothing pending."""
        self.drop_links(_GONE)
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        self.pending_le_connection = None

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """Reset: what bumble leaves out, so that a new host finds the devices free again."""
        self.silence()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_create_connection_command(self, command: hci.HCI_LE_Create_Connection_Command) -> None:
        """Note the wish to connect and listen for that device."""
        super().on_hci_le_create_connection_command(command)
        self.link.listen(self)

    def on_hci_le_extended_create_connection_command(
        self, command: hci.HCI_LE_Extended_Create_Connection_Command
    ) -> None:
        """Note the wish to connect and listen for that device."""
        super().on_hci_le_extended_create_connection_command(command)
        self.link.listen(self)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Give up a pending connection and say so, as the standard asks (Vol 4, Part E, 7.8.13)."""
        pending = self.pending_le_connection
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.pending_le_connection = None
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_set_scan_enable_command(
        self, command: hci.HCI_LE_Set_Scan_Enable_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Start or stop to scan."""
        result = super().on_hci_le_set_scan_enable_command(command)
        if self.le_scan_enable:
            self.link.listen(self)
        return result

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        """Tell the host that a connection ended, once."""
        if self.le_connections.get(connection.peer_address) is connection:
            super().on_le_disconnected(connection, reason)


class _HostPort(asyncio.Protocol):
    """One TCP connection of a host in another process: HCI packets both ways."""

    def __init__(
        self,
        controller: RadioController,
        took_over: Callable[[_HostPort], None],
        lost: Callable[[_HostPort], None],
    ) -> None:
        self._controller = controller
        self._parser = PacketParser(controller)
        self._took_over = took_over
        self._lost = lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
            self._took_over(self)

    def data_received(self, data: bytes) -> None:
        if self._controller.host is not self:
            return
        try:
            self._parser.feed_data(data)
        except InvalidPacketError as error:
            _log.warning("the host of %s sent no HCI (%s): disconnected", self._controller.name, error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost(self)
        if self._controller.host is self:
            self._controller.host = None
            self._controller.silence()

    def on_packet(self, packet: bytes) -> None:
        """Take a packet from the controller (it is the controller's host)."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(packet)

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()


class VirtualRadio:
    """The air between virtual peripherals and hosts in this process or in others."""

    def __init__(self) -> None:
        self.link = IndexedLink()
        self._hosts = 0
        self._servers: list[asyncio.Server] = []
        self._ports: set[_HostPort] = set()

    def peripheral(self, name: str, address: hci.Address) -> RadioController:
        """A new controller for a peripheral with that random static address."""
        controller = RadioController(name, link=self.link)
        controller.random_address = address
        return controller

    def host_controller(self) -> RadioController:
        """A new controller, with a public address of its own, for a host that scans and connects."""
        self._hosts += 1
        raw = (_HOST_ADDRESSES + self._hosts).to_bytes(6, "little")
        address = hci.Address(raw, hci.Address.PUBLIC_DEVICE_ADDRESS)
        return RadioController(f"host {self._hosts}", link=self.link, public_address=address)

    def remove(self, controller: RadioController) -> None:
        """Take a controller off the air; harmless more than once."""
        controller.silence()
        self.link.remove_controller(controller)
        controller.host = None

    async def serve_hci(self, host: str, port: int) -> int:
        """Serve one controller over HCI on TCP and return the port.

        One host at a time: a new one takes over from the old, whose links are dropped, as they are when
        its process dies.

        Raises:
            LinkError: the address cannot be listened on.
        """
        controller = self.host_controller()

        def took_over(new: _HostPort) -> None:
            old, controller.host = controller.host, None
            controller.silence()
            if isinstance(old, _HostPort):
                old.abort()
            self._ports.add(new)
            controller.host = new

        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: _HostPort(controller, took_over, self._ports.discard), host, port
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            msg = f"cannot serve HCI on {host}:{port}: {why}; choose another port (0 picks a free one)"
            raise LinkError(msg, host=host, port=port) from error
        self._servers.append(server)
        bound: Any = server.sockets[0].getsockname()
        return int(bound[1])

    async def close(self) -> None:
        """Stop serving and take everybody off the air."""
        for server in self._servers:
            server.close()
        for host_port in tuple(self._ports):
            host_port.abort()
        for server in self._servers:
            with contextlib.suppress(OSError):
                await server.wait_closed()
        self._servers.clear()
        self._ports.clear()
        for controller in tuple(self.link.controllers):
            if isinstance(controller, RadioController):
                self.remove(controller)
        await asyncio.sleep(0)  # lets the peers' goodbyes and the aborted transports finish
