"""bumble's host and device where Hearthward needs them otherwise: fast, and patient with odd peers."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from typing import Any, Final
from weakref import WeakKeyDictionary

from bumble import att, core, hci
from bumble.device import Connection, Device
from bumble.host import Host
from bumble.keys import PairingKeys

__all__ = ["LeanDevice", "LeanHost"]

_log = logging.getLogger(__name__)

EARLY: Final = 256
"""Values held at most, of all characteristics of one connection."""
_PUSHED: Final = frozenset({att.Opcode.ATT_HANDLE_VALUE_NOTIFICATION, att.Opcode.ATT_HANDLE_VALUE_INDICATION})
"""What a server sends without having been asked."""


class LeanHost(Host):
    """bumble's host without formatting every packet for a debug log that nobody reads (half its CPU).

    An answer to a command that was given up meanwhile (a cancelled session) is let go: bumble would fail on
    it, or take it for the answer to the next command.
    """

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Hand a packet to the controller."""
        if self.hci_sink:
            self.hci_sink.on_packet(bytes(packet))

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Take a packet from the controller."""
        match packet:
            case hci.HCI_Event():
                self.on_hci_event_packet(packet)
            case hci.HCI_AclDataPacket():
                self.on_hci_acl_data_packet(packet)
            case _:
                super().on_hci_packet(packet)

    async def _send_command(
        self, command: hci.HCI_SyncCommand[Any] | hci.HCI_AsyncCommand, response_timeout: float | None = None
    ) -> Any:
        """Send one command and return its answer, as soon as it is this one's turn.

        bumble's own swallows a cancellation that comes with the answer (``asyncio.wait_for`` does before
        Python 3.12): a session that was told to stop would go on for ever.
        """
        await self.command_semaphore.acquire()
        waiting = asyncio.get_running_loop().create_future()
        self.pending_command, self.pending_response = command, waiting
        more = True
        try:
            self.send_hci_packet(command)
            async with asyncio.timeout(response_timeout):
                answer = await waiting
            more = bool(answer.num_hci_command_packets)
            return answer
        finally:
            self.pending_command = self.pending_response = None
            if more and self.command_semaphore.locked():
                self.command_semaphore.release()

    def on_command_processed(
        self, event: hci.HCI_Command_Complete_Event[Any] | hci.HCI_Command_Status_Event
    ) -> None:
        """Take the answer to the command that waits for one."""
        command, waiting = self.pending_command, self.pending_response
        if command is None or waiting is None:
            if event.num_hci_command_packets and self.command_semaphore.locked():
                self.command_semaphore.release()
        elif not waiting.done() and command.op_code == event.command_opcode:
            waiting.set_result(event)

    def on_transport_lost(self) -> None:
        """Tell whoever waits for an answer that none will come."""
        if self.pending_response is not None and self.pending_response.done():
            self.pending_response = None
        super().on_transport_lost()  # type: ignore[no-untyped-call]


class LeanDevice(Device):
    """bumble's device, which lets go what a peer answers too late, twice, or in bytes that mean nothing.

    What a device sends before it is subscribed to is held: one that remembers its bond remembers the
    subscription as well, and tells what it has stored as soon as it is connected.

    ``unkept`` is why the last bond could not be kept: bumble would only log it, and take it for paired.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unkept: OSError | None = None
        self._early: WeakKeyDictionary[Connection, deque[tuple[int, bytes]]] = WeakKeyDictionary()

    async def update_keys(self, address: str, keys: PairingKeys) -> None:
        """Keep a bond; see ``unkept``."""
        self.unkept = None
        if self.keystore is None:
            return
        try:
            await self.keystore.update(address, keys)
        except OSError as error:
            self.unkept = error
            return
        await self.refresh_resolving_list()
        self.emit(self.EVENT_KEY_STORE_UPDATE)

    def early(self, connection: Connection, handle: int) -> list[bytes]:
        """What came of a characteristic before it was subscribed to, oldest first; each once."""
        held = self._early.get(connection, deque())
        found = [value for at, value in held if at == handle]
        self._early[connection] = deque((one for one in held if one[0] != handle), maxlen=EARLY)
        return found

    def _held(self, connection: Connection, packet: att.ATT_PDU) -> bool:
        """Hold a value that nobody has subscribed to yet; False for everything else."""
        if not isinstance(packet, att.ATT_Handle_Value_Notification | att.ATT_Handle_Value_Indication):
            return False
        client, handle = connection.gatt_client, packet.attribute_handle
        if client.notification_subscribers.get(handle) or client.indication_subscribers.get(handle):
            return False
        held = self._early.setdefault(connection, deque(maxlen=EARLY))
        held.append((handle, bytes(packet.attribute_value)))
        if isinstance(packet, att.ATT_Handle_Value_Indication):
            client.send_confirmation(att.ATT_Handle_Value_Confirmation())
        return True

    def on_gatt_pdu(self, connection_handle: int, pdu: bytes) -> None:
        """Take one attribute packet of a connection."""
        connection = self.lookup_connection(connection_handle)
        if connection is None:
            return
        try:
            packet = att.ATT_PDU.from_bytes(pdu)
        except (core.BaseBumbleError, ValueError, IndexError, struct.error):
            _log.warning(
                "%s: an attribute packet of %d bytes means nothing", connection.peer_address, len(pdu)
            )
            return
        if not packet.op_code & 1:
            confirmed = connection.gatt_server.pending_confirmations.get(connection)
            if packet.op_code != att.Opcode.ATT_HANDLE_VALUE_CONFIRMATION or _is_open(confirmed):
                connection.gatt_server.on_gatt_pdu(connection, packet)
        elif packet.op_code not in _PUSHED and not _is_open(connection.gatt_client.pending_response):
            return
        elif not self._held(connection, packet):
            connection.gatt_client.on_gatt_pdu(packet)


def _is_open(waiting: asyncio.Future[Any] | None) -> bool:
    return waiting is not None and not waiting.done()
