from holdfast.node.links import Deliver, Links, Port

Told = tuple[int, bytes, int]


def attach_all(links: Links, size: int) -> tuple[dict[int, list[Told]], list[Port]]:
    heard: dict[int, list[Told]] = {index: [] for index in range(size)}

    def inbox(index: int) -> Deliver:
        return lambda sender, message, delay_ms: heard[index].append((sender, message, delay_ms))

    return heard, [links.attach(index, inbox(index)) for index in range(size)]


def test_links__broadcast__reaches_everybody_else() -> None:
    heard, ports = attach_all(Links(3), 3)
    ports[1].broadcast(b"hello")
    assert heard == {0: [(1, b"hello", 0)], 1: [], 2: [(1, b"hello", 0)]}


def test_links__partition_healed__messages_pass_again_and_what_was_sent_meanwhile_is_lost() -> None:
    links = Links(3)
    heard, ports = attach_all(links, 3)
    cut = links.cuts.partition([0])
    ports[0].broadcast(b"lost")
    ports[1].send(0, b"lost")
    links.cuts.heal(cut)
    ports[1].send(0, b"heard")
    assert heard == {0: [(1, b"heard", 0)], 1: [], 2: []}


def test_links__delayed_validator__both_ways_carry_its_delay() -> None:
    links = Links(2)
    heard, ports = attach_all(links, 2)
    links.cuts.add_delay(1, 70)
    ports[0].send(1, b"to")
    ports[1].send(0, b"from")
    assert heard == {0: [(1, b"from", 70)], 1: [(0, b"to", 70)]}


def test_links__detached_incarnation__neither_hears_nor_is_heard_while_the_next_one_is() -> None:
    links = Links(2)
    heard, ports = attach_all(links, 2)
    old = ports[0]
    links.detach(0)
    ports[1].send(0, b"into nothing")
    links.attach(0, lambda *told: heard[0].append(told))
    old.broadcast(b"from the grave")
    assert heard == {0: [], 1: []}
