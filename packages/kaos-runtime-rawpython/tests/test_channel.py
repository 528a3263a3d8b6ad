"""Packets between front and worker: whole messages out, limits kept, nothing believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos_runtime_rawpython.channel import PACKET_BYTES, Assembler, Kind, Message, ProtocolError, finished_call, packets


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Kind),
            st.integers(0, 2**64 - 1),
            st.sampled_from([0, 1, PACKET_BYTES, PACKET_BYTES + 1, 200_000]),
        )
    )
)
def test_every_message_arrives_as_it_was_sent(messages):
    assembler = Assembler(1 << 20)
    for kind, id_, size in messages:
        arrived = [assembler.feed(packet) for packet in packets(kind, id_, b"x" * size)]
        assert arrived[:-1] == [None] * (len(arrived) - 1)
        assert arrived[-1] == Message(kind, id_, b"x" * size)


def test_packets_of_two_messages_may_come_mixed():
    assembler = Assembler(1 << 20)
    first, second = (list(packets(Kind.RESULT, id_, bytes([id_]) * 100_000)) for id_ in (1, 2))
    mixed = [packet for pair in zip(first, second, strict=True) for packet in pair]
    assert [message.id for packet in mixed if (message := assembler.feed(packet))] == [1, 2]


def test_only_the_last_packet_of_a_call_completes_it():
    assert [finished_call(packet) for packet in packets(Kind.CALL, 7, b"x" * 100_000)] == [None, 7]
    assert finished_call(next(packets(Kind.PING, 7))) is None


@pytest.mark.parametrize("packet", [b"", b"\x01", b"\xff" + b"\0" * 9, b"\xff" * 10])
def test_a_packet_that_is_none_is_refused(packet):
    with pytest.raises(ProtocolError):
        Assembler(100).feed(packet)


def test_unfinished_messages_together_stay_under_the_limit():
    assembler = Assembler(3 * PACKET_BYTES)
    for id_ in range(3):
        assert assembler.feed(next(packets(Kind.RESULT, id_, b"x" * (PACKET_BYTES + 1)))) is None
    with pytest.raises(ProtocolError, match="more than"):
        assembler.feed(next(packets(Kind.RESULT, 3, b"x" * (PACKET_BYTES + 1))))


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_give_messages_or_a_protocol_error(data):
    assembler = Assembler(1000)
    for packet in data:
        try:
            assembler.feed(packet)
        except ProtocolError:
            return
