"""`gws.cluster.ids`: UUIDs of version 8 that name their process and cannot be guessed."""

from __future__ import annotations

import threading
import uuid

import pytest

from gws.cluster.ids import new_id, node_of, own_node

from ..support.program import python

COUNT = 5000
NODE_SHIFT = 80
AN_ID = "0123abcd-4567-8fff-bfff-ffffffffffff"

FORK = """
import os
import pytest

from gws.cluster.ids import new_id, node_of, own_node
read, write = os.pipe()
parent = [new_id(), new_id()]
for _ in range(2):
    child = os.fork()
    if not child:
        os.write(write, f"{new_id()} {new_id()}\\n".encode())
        os._exit(0)
    os.waitpid(child, 0)
print(*parent)
print(os.read(read, 1000).decode(), end="")
print(new_id(), new_id())
"""


def node(connection_id: str) -> int:
    return uuid.UUID(connection_id).int >> NODE_SHIFT


def test_an_id_is_a_uuid_of_version_8() -> None:
    for _ in range(COUNT):
        parsed = uuid.UUID(new_id())
        assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_an_id_is_written_as_uuids_are() -> None:
    connection_id = new_id()
    assert type(connection_id) is str
    assert connection_id == str(uuid.UUID(connection_id))
    assert [len(part) for part in connection_id.split("-")] == [8, 4, 4, 4, 12]


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(COUNT)}) == COUNT


def test_all_ids_of_a_process_name_its_node() -> None:
    assert len({node(new_id()) for _ in range(COUNT)}) == 1


def test_all_74_other_bits_are_random() -> None:
    numbers = [uuid.UUID(new_id()).int for _ in range(1000)]
    fixed = {62, 63, *range(76, 80), *range(NODE_SHIFT, 128)}
    for bit in set(range(128)) - fixed:
        ones = sum(number >> bit & 1 for number in numbers)
        assert 350 < ones < 650, bit
    for bit in fixed:
        assert len({number >> bit & 1 for number in numbers}) == 1


def test_threads_get_ids_of_the_same_node() -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(new_id() for _ in range(100))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 400
    assert {node(connection_id) for connection_id in ids} == {node(new_id())}


def test_a_forked_child_has_a_node_of_its_own_and_the_parent_keeps_its() -> None:
    output = python(FORK)
    parent, first, second, parent_again = (list(map(node, line.split())) for line in output.splitlines())
    assert parent == parent_again
    for pair in (parent, first, second):
        assert pair[0] == pair[1]
    assert len({parent[0], first[0], second[0], node(new_id())}) == 4


def test_the_node_of_an_id_is_read_from_it() -> None:
    assert {node_of(new_id()) for _ in range(COUNT)} == {own_node()}
    assert node_of(AN_ID) == 0x0123ABCD4567
    assert node_of("00000000-0000-8000-8000-000000000000") == 0


@pytest.mark.parametrize(
    "what",
    [
        None,
        5,
        AN_ID.encode(),
        uuid.UUID(AN_ID),
        [AN_ID],
        "",
        "nobody",
        AN_ID.upper(),
        AN_ID.replace("-", ""),
        f"{{{AN_ID}}}",
        f"urn:uuid:{AN_ID}",
        f" {AN_ID}",
        f"{AN_ID}\n",
        AN_ID[:-1],
        f"{AN_ID}0",
        AN_ID.replace("0", "g"),
        AN_ID.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        AN_ID.replace("-8", "-4"),
        AN_ID.replace("-8", "-7"),
        AN_ID.replace("-b", "-7"),
        AN_ID.replace("-b", "-c"),
    ],
)
def test_what_is_no_id_names_no_node(what: object) -> None:
    assert node_of(what) is None
