"""The simulated links: latency, loss, repetition, order, delays and cuts."""

from random import Random

import pytest

from holdfast.lab.network import PPM, LinkQuality, Mesh


def make_mesh(quality: LinkQuality | None = None, *, size: int = 4, seed: int = 1) -> Mesh:
    return Mesh(size, quality or LinkQuality(), Random(seed))


def connected(mesh: Mesh) -> set[tuple[int, int]]:
    everyone = range(mesh.size)
    return {(a, b) for a in everyone for b in everyone if a != b and mesh.is_connected(a, b)}


ALL_LINKS = {(a, b) for a in range(4) for b in range(4) if a != b}


def test_arrivals__quiet_link__fall_within_latency_in_order() -> None:
    mesh = make_mesh(LinkQuality(base_ms=10, jitter_ms=5))
    arrivals = [mesh.arrivals_ms(0, 1, now_ms)[0] for now_ms in range(1000)]
    assert arrivals == sorted(arrivals)
    assert all(10 <= arrival - now_ms <= 15 for now_ms, arrival in enumerate(arrivals))


def test_arrivals__same_seed__are_the_same() -> None:
    quality = LinkQuality(loss_ppm=100_000, duplicate_ppm=100_000, reorder_ppm=100_000)
    first, second = make_mesh(quality), make_mesh(quality)
    assert [first.arrivals_ms(0, 1, t) for t in range(500)] == [second.arrivals_ms(0, 1, t) for t in range(500)]


def test_arrivals__loss_and_duplication__come_at_their_rates() -> None:
    mesh = make_mesh(LinkQuality(loss_ppm=200_000, duplicate_ppm=300_000))
    copies = [len(mesh.arrivals_ms(0, 1, 0)) for _ in range(10_000)]
    assert 1_800 < copies.count(0) < 2_200
    assert 2_200 < copies.count(2) < 2_600
    assert mesh.sent == 10_000
    assert mesh.dropped == copies.count(0)


def test_arrivals__total_loss__nothing_passes() -> None:
    mesh = make_mesh(LinkQuality(loss_ppm=PPM))
    assert all(mesh.arrivals_ms(0, 1, 0) == () for _ in range(100))


def test_arrivals__reordering__lets_later_messages_overtake() -> None:
    mesh = make_mesh(LinkQuality(reorder_ppm=200_000))
    arrivals = [mesh.arrivals_ms(0, 1, now_ms)[0] for now_ms in range(500)]
    assert arrivals != sorted(arrivals)


def test_partition__two_groups__cuts_both_ways_and_heals() -> None:
    mesh = make_mesh()
    cut = mesh.partition([0, 1], [2, 3])
    assert connected(mesh) == {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert mesh.arrivals_ms(0, 2, 0) == ()
    mesh.heal(cut)
    assert connected(mesh) == ALL_LINKS


def test_partition__one_named__leaves_the_others_together() -> None:
    mesh = make_mesh()
    mesh.partition([2])
    assert connected(mesh) == {(a, b) for a, b in ALL_LINKS if 2 not in (a, b)}


def test_block__one_way__the_other_way_still_passes() -> None:
    mesh = make_mesh()
    cut = mesh.block([0], range(4))
    assert connected(mesh) == {(a, b) for a, b in ALL_LINKS if a != 0}
    mesh.heal(cut)
    assert connected(mesh) == ALL_LINKS


def test_heal__overlapping_cuts__stay_until_the_last() -> None:
    mesh = make_mesh()
    first = mesh.partition([0])
    second = mesh.partition([0, 1])
    mesh.heal(first)
    assert not mesh.is_connected(0, 2)
    assert mesh.is_connected(0, 1)
    mesh.heal(second)
    mesh.heal(second)
    assert connected(mesh) == ALL_LINKS


def test_add_delay__one_validator__slows_both_its_directions_and_goes_away() -> None:
    mesh = make_mesh(LinkQuality(base_ms=10, jitter_ms=0))
    mesh.add_delay(1, 500)
    assert mesh.arrivals_ms(0, 1, 0) == (510,)
    assert mesh.arrivals_ms(1, 2, 0) == (510,)
    assert mesh.arrivals_ms(0, 2, 0) == (10,)
    mesh.add_delay(1, -500)
    assert mesh.arrivals_ms(0, 1, 0) == (10,)


def test_heal_all__everything__is_whole_and_lossless() -> None:
    mesh = make_mesh(LinkQuality(base_ms=10, jitter_ms=0, loss_ppm=PPM))
    mesh.partition([0])
    mesh.add_delay(0, 100)
    mesh.heal_all()
    assert connected(mesh) == ALL_LINKS
    assert mesh.arrivals_ms(0, 1, 0) == (10,)


@pytest.mark.parametrize("seed", [1, 2])
def test_arrivals__other_seed__differ(seed: int) -> None:
    mesh, other = make_mesh(seed=seed), make_mesh(seed=seed + 10)
    assert [mesh.arrivals_ms(0, 1, 0) for _ in range(50)] != [other.arrivals_ms(0, 1, 0) for _ in range(50)]
