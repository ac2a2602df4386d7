from gram.data.status import DecidingStage, Status


def test_the_states_of_a_clip_are_a_closed_list() -> None:
    states = (
        "ok not_found duplicate unreadable no_video no_audio truncated too_short timeout "
        "dead private region unsupported throttled network failed"
    )
    assert " ".join(Status) == states


def test_states_that_another_try_may_change() -> None:
    assert {str(one) for one in Status if one.is_transient} == {
        "timeout",
        "throttled",
        "network",
        "failed",
    }


def test_three_stages_decide_what_becomes_of_a_clip() -> None:
    assert " ".join(DecidingStage) == "fetch probe extract"
