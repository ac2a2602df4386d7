from gram.data.status import Status


def test_the_states_of_a_clip_are_a_closed_list() -> None:
    assert " ".join(Status) == "ok not_found unreadable no_video truncated too_short timeout"
