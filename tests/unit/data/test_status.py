from gram.data.status import DecidingStage, Status


def test_the_states_of_a_clip_are_a_closed_list() -> None:
    states = "ok not_found duplicate unreadable no_video truncated too_short timeout"
    assert " ".join(Status) == states


def test_probing_and_extraction_decide_what_becomes_of_a_clip() -> None:
    assert " ".join(DecidingStage) == "probe extract"
